//! `cargo xtask console`: builds the web console into `crates/console/dist`, from where the
//! gateway's build takes it.
//!
//! Data flow: `crates/console` -> `npm ci` (exact versions and digests of `package-lock.json`) ->
//! esbuild -> `dist`.
//!
//! # Invariants
//! - What is built already from the same files is not built again: the stamp in `dist` names their
//!   digest.
//! - A build that only wants to embed the console goes on without it, and says how to get it.

use std::path::{Path, PathBuf};
use std::process::Command;

use ring::digest::{Context, SHA256};
use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble, files};

use crate::{console, run, setup};

/// What builds the console.
const NEEDS: &[(&str, &str)] = &[("node", "nodejs"), ("npm", "npm")];
/// Files whose change makes a new build, beside those in `src` and its folders.
const SOURCES: &[&str] = &["build.mjs", "package.json", "package-lock.json", "tsconfig.json"];

fn folder() -> PathBuf {
    workspace().join("crates/console")
}

/// Builds the console unless it is built.
///
/// # Errors
/// Node is missing and cannot be installed by us: the line to type. The build failed.
pub(crate) fn build() -> Outcome {
    let (stamp, digest) = (folder().join("dist/.stamp"), digest()?);
    if std::fs::read_to_string(&stamp).is_ok_and(|built| built == digest) {
        return Ok(());
    }
    setup::programs(NEEDS)?;
    if !is_installed() {
        run::checked(npm(&["ci", "--no-audit", "--no-fund"]))?;
    }
    run::checked(npm(&["run", "--silent", "build"]))?;
    files::write(&stamp, digest)
}

/// Builds the console for a gateway that does without it if need be.
pub(crate) fn embed() {
    if let Err(trouble) = build() {
        console::step(&format!(
            "The gateway is built without the web console ({trouble}). To get it: install Node 18 \
             or later with npm, then `cargo xtask console`."
        ));
    }
}

/// Builds the console, checks its types and runs its unit tests.
///
/// # Errors
/// What failed first.
pub(crate) fn checked() -> Outcome {
    build()?;
    if !is_installed() {
        run::checked(npm(&["ci", "--no-audit", "--no-fund"]))?;
    }
    run::checked(npm(&["run", "--silent", "check"]))?;
    run::checked(npm(&["test", "--silent"]))
}

/// Whether the packages of the present lock file are there.
fn is_installed() -> bool {
    let changed = |path: PathBuf| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let lock = changed(folder().join("package-lock.json"));
    let installed = changed(folder().join("node_modules/.package-lock.json"));
    installed.is_some() && installed >= lock
}

fn npm(words: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(words).current_dir(folder());
    npm
}

/// The digest of everything that the build reads.
fn digest() -> Outcome<String> {
    let root = folder();
    let mut sources: Vec<PathBuf> = SOURCES.iter().map(|name| root.join(name)).collect();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { &mut folders } else { &mut sources }.push(path);
        }
    }
    sources.sort();
    let mut context = Context::new(&SHA256);
    for source in &sources {
        add(&mut context, &root, source)?;
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn add(context: &mut Context, root: &Path, source: &Path) -> Outcome {
    let name = source.strip_prefix(root)?.display().to_string();
    let text = std::fs::read(source)
        .map_err(|error| Trouble::new(format!("{}: {error}", source.display())))?;
    context.update(format!("{name} {}\n", text.len()).as_bytes());
    context.update(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_depends_on_name_and_content() {
        let root = tempfile::tempdir().unwrap();
        let of = |name: &str, text: &str| {
            let path = root.path().join(name);
            files::write(&path, text).unwrap();
            let mut context = Context::new(&SHA256);
            add(&mut context, root.path(), &path).unwrap();
            context.finish().as_ref().to_vec()
        };
        assert_eq!(of("a", "one"), of("a", "one"));
        assert_ne!(of("a", "one"), of("a", "two"));
        assert_ne!(of("a", "one"), of("b", "one"));
    }
}
