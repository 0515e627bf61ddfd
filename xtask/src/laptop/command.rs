//! The command line for operators' machines that do not run Linux: `cargo xtask windows`, `cargo
//! xtask macos`, `dist --laptops`.
//!
//! Data flow: [`System`] -> the program, whose size and form are checked -> an archive with
//! licences and a bill of materials ([`pack`]). The Windows program runs the end-to-end suite under
//! Wine ([`wine`]).
//!
//! # Not here
//! - Nothing is run on Windows or macOS: `docs/operators-cli.md` says what was.

use towline_testkit::{Outcome, Trouble};

use super::system::{ALL, System};
use super::{pack, wine};
use crate::dist::digest;
use crate::package;

/// `cargo xtask windows [--build]`.
///
/// # Errors
/// The build or a test failed.
pub(crate) fn windows(words: &[&str]) -> Outcome {
    let program = System::Windows.build()?;
    match words {
        [] => wine::run_suite(&program),
        ["--build"] => Ok(()),
        _ => Err(Trouble::new("usage: cargo xtask windows [--build]")),
    }
}

/// `cargo xtask macos`.
///
/// # Errors
/// A build failed, or what it gave is no program of macOS.
pub(crate) fn macos() -> Outcome {
    [System::MacIntel, System::MacArm].into_iter().try_for_each(|system| system.build().map(drop))
}

/// `dist --laptops`: an archive for each system.
///
/// # Errors
/// What failed first.
pub(crate) fn archives(version: &str) -> Outcome {
    for system in ALL {
        let program = system.build()?;
        pack::archive(*system, &program, version)?;
    }
    digest::write_sums(&package::folder())
}
