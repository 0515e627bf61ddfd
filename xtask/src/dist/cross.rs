//! `dist --check-cross`: asks `cross` itself, with a stand-in for the container engine, what it
//! would start for each of our triples, for people who build with cross.
//!
//! # Invariants
//! - Nothing of the host changes: an engine and a rustup that give no orders stand before the real
//!   ones.
//!
//! Data flow: a script that answers as an engine and writes down how it was called -> `cross build`
//! for each class -> the image in what was written down has the triple in its name.

use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::lab::programs::workspace;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, files};

use super::class::Class;
use crate::{console, run, setup};

/// The release whose choice is checked.
const CROSS: &str = "0.2.5";

/// Says a version as docker does, writes down `run`, and accepts everything.
const ENGINE: &str = "#!/bin/sh
case \"$1\" in
version | --version) echo 'Docker version 27.0.0, build stand-in' ;;
run) printf '%s\\n' \"$*\" >>\"$STAND_IN_LOG\" ;;
esac
exit 0
";

/// Hands questions to the real rustup, and says yes to orders without obeying: cross 0.2.5 does not
/// recognise an active toolchain in a newer rustup's list, and would install it again, which brings
/// it up to date.
const RUSTUP: &str = "#!/bin/sh
for word in \"$@\"; do
	case \"$word\" in add | install | update | remove | uninstall | set) exit 0 ;; esac
done
exec \"$STAND_IN_RUSTUP\" \"$@\"
";

/// Classes without an image in that release, see `Cross.toml`. Cross would fall back to cargo on
/// the host.
pub(super) const WITHOUT_IMAGE: &[&str] = &["riscv64"];

/// Checks the image of each class.
///
/// # Errors
/// Cross cannot be had, or starts something else.
pub(crate) fn check() -> Outcome {
    if !run::has("rustup") {
        console::line("skipped: cross needs rustup");
        return Ok(());
    }
    let cross = cross()?;
    let scratch = setup::cache().join("cross-check");
    // Left over from a run that was broken off.
    let _ = std::fs::remove_dir_all(&scratch);
    std::fs::create_dir_all(&scratch)?;
    let engine = scratch.join("docker");
    for (path, text) in [(&engine, ENGINE), (&scratch.join("rustup"), RUSTUP)] {
        files::write(path, text)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let mut wrong = Vec::new();
    for class in Class::named("all")? {
        if WITHOUT_IMAGE.contains(&class.name.as_str()) {
            console::line(&format!("{}: no image in cross {CROSS}", class.triple));
            continue;
        }
        let image = image(&cross, &engine, &scratch, &class)?;
        console::line(&format!("{}: {image}", class.triple));
        if !image.contains(&class.triple) {
            wrong.push(class.triple);
        }
    }
    std::fs::remove_dir_all(&scratch)?;
    ensure(wrong.is_empty(), || format!("cross starts another image for {}", wrong.join(", ")))
}

/// The word of the engine's command line that names the image.
fn image(cross: &Path, engine: &Path, scratch: &Path, class: &Class) -> Outcome<String> {
    let log = scratch.join(&class.name);
    let mut command = Command::new(cross);
    command.current_dir(workspace()).args([
        "build",
        "--package",
        "towline-agent",
        "--target",
        &class.triple,
    ]);
    command
        .env("CROSS_CONTAINER_ENGINE", engine)
        .env("STAND_IN_LOG", &log)
        .env("CROSS_CUSTOM_TOOLCHAIN", "1");
    command.env("CROSS_SKIP_TARGET_INSTALL", "1").env("CARGO_TARGET_DIR", scratch.join("target"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", scratch.display()));
    command.env("STAND_IN_RUSTUP", run::find("rustup").unwrap_or_else(|| "rustup".into()));
    let out = command.output()?;
    let called = std::fs::read_to_string(&log).map_err(|_| {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        Trouble::new(format!("{}: cross started no container: {said}", class.triple))
    })?;
    let image =
        called.split_whitespace().rev().find(|word| word.contains(":") && word.contains("linux"));
    // Its host is cross's affair.
    Ok(image.and_then(|image| image.rsplit('/').next()).unwrap_or_default().to_owned())
}

fn cross() -> Outcome<PathBuf> {
    if let Some(cross) = run::find("cross") {
        return Ok(cross);
    }
    let root = setup::cache().join("cross");
    let cross = root.join("bin/cross");
    if !cross.is_file() {
        let mut install = run::cargo();
        install
            // It starts one container: not worth an optimised build.
            .args([
                "install",
                "--quiet",
                "--locked",
                "--debug",
                "--version",
                CROSS,
                "cross",
                "--root",
            ])
            .arg(&root);
        run::checked(install)?;
    }
    Ok(cross)
}
