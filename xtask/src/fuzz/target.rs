//! Fuzz targets: found by the manifests of the `fuzz` folders, built by cargo-fuzz.
//!
//! # Invariants
//! - A target has the same compiler as the product: `RUSTC_BOOTSTRAP` opens the flags for coverage
//!   on the stable one.
//! - The versions of dependencies are those of the workspace's lock file, libFuzzer apart.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble, files};

use crate::{run, setup};

/// One fuzz target.
#[derive(Debug)]
pub(crate) struct Target {
    /// The crate that it tries, without `towline-`.
    krate: String,
    name: String,
    /// The folder of its manifest.
    folder: PathBuf,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.krate, self.name)
    }
}

#[derive(serde::Deserialize)]
struct Manifest {
    package: Package,
    bin: Vec<Binary>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
}

#[derive(serde::Deserialize)]
struct Binary {
    name: String,
}

impl Target {
    /// Whether `name` means it: `TARGET` or `CRATE/TARGET`.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.to_string() == name
    }

    /// Its program, once it is built.
    pub(crate) fn program(&self) -> Outcome<PathBuf> {
        Ok(programs().join(triple()?).join("release").join(&self.name))
    }

    /// Where its inputs are kept; made if it is not there.
    pub(crate) fn corpus(&self) -> Outcome<PathBuf> {
        self.kept("corpus")
    }

    /// Where inputs that crash it go; made if it is not there.
    pub(crate) fn crashes(&self) -> Outcome<PathBuf> {
        self.kept("crashes")
    }

    fn kept(&self, what: &str) -> Outcome<PathBuf> {
        let folder = home().join(what).join(&self.krate).join(&self.name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Inputs to begin with, if the tree has some.
    pub(crate) fn seeds(&self) -> Option<PathBuf> {
        Some(self.folder.join("seeds").join(&self.name)).filter(|folder| folder.is_dir())
    }
}

/// Every target, by crate and in the order of its manifest.
///
/// # Errors
/// A manifest that cannot be read.
pub(crate) fn all() -> Outcome<Vec<Target>> {
    let mut folders = vec![workspace().join("fuzz")];
    for entry in fs::read_dir(workspace().join("crates"))? {
        folders.push(entry?.path().join("fuzz"));
    }
    folders.retain(|folder| folder.join("Cargo.toml").is_file());
    folders.sort();
    let mut targets = Vec::new();
    for folder in folders {
        targets.extend(of(&folder)?);
    }
    Ok(targets)
}

fn of(folder: &Path) -> Outcome<Vec<Target>> {
    let path = folder.join("Cargo.toml");
    let manifest: Manifest = toml::from_str(&fs::read_to_string(&path)?)
        .map_err(|e| Trouble::new(format!("{}: {e}", path.display())))?;
    let name = manifest.package.name;
    let name = name.strip_prefix("towline-").and_then(|name| name.strip_suffix("-fuzz"));
    let krate = name.ok_or_else(|| {
        Trouble::new(format!("{}: the package must be called towline-CRATE-fuzz", path.display()))
    })?;
    let target = |binary: Binary| Target {
        krate: krate.to_owned(),
        name: binary.name,
        folder: folder.to_owned(),
    };
    Ok(manifest.bin.into_iter().map(target).collect())
}

/// Builds these targets, instrumented.
///
/// # Errors
/// cargo-fuzz cannot be had, or a build failed.
pub(crate) fn build(targets: &[&Target]) -> Outcome {
    let tool = setup::cargo_fuzz()?;
    let mut folders: Vec<&Path> = targets.iter().map(|target| target.folder.as_path()).collect();
    folders.dedup();
    for folder in folders {
        use_our_versions(folder)?;
        for target in targets.iter().filter(|target| target.folder == folder) {
            run::checked(built(&tool, target))?;
        }
    }
    Ok(())
}

fn built(tool: &Path, target: &Target) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(&target.folder).args(["fuzz", "build", "--sanitizer", "none"]);
    command.arg("--fuzz-dir").arg(&target.folder).arg("--target-dir").arg(programs());
    command.arg(&target.name).env("RUSTC_BOOTSTRAP", "1");
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_MANIFEST_PATH"]
    {
        command.env_remove(name);
    }
    command
}

/// Puts the workspace's lock file into a fuzz folder, if it is newer than the one there. Cargo
/// takes out what it does not need.
fn use_our_versions(folder: &Path) -> Outcome {
    let (ours, theirs) = (workspace().join("Cargo.lock"), folder.join("Cargo.lock"));
    let age = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if age(&theirs) < age(&ours) {
        files::write(&theirs, fs::read(&ours)?)?;
    }
    Ok(())
}

fn home() -> PathBuf {
    setup::cache().join("fuzz")
}

/// Where cargo puts all targets of all crates.
fn programs() -> PathBuf {
    home().join("target")
}

/// The triple of this machine, which cargo-fuzz builds for.
fn triple() -> Outcome<String> {
    let out = Command::new("rustc").arg("-vV").current_dir(workspace()).output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Trouble::new("rustc -vV names no host"))
}
