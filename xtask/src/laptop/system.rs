//! The systems, and how the program is built for each: by cargo, with mingw or zig as linker.
//!
//! # Invariants
//! - A program larger than [`MOST_BYTES`] is an error.

use std::path::PathBuf;
use std::process::Command;

use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use super::macho;
use crate::dist::build::folder;
use crate::dist::toolchain;
use crate::{console, run, setup};

/// The most that the program may have on each system.
const MOST_BYTES: u64 = 7_000_000;
/// Debian's C compiler for Windows: it links, and compiles what `ring` has in C.
pub(super) const MINGW: (&str, &str) = ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64");

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// Windows on x86_64.
    Windows,
    /// A Mac with a processor of Intel.
    MacIntel,
    /// A Mac with a processor of Apple.
    MacArm,
}

/// All of them.
pub(super) const ALL: &[System] = &[System::Windows, System::MacIntel, System::MacArm];

impl System {
    /// Rust's name of it.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::Windows => "x86_64-pc-windows-gnu",
            Self::MacIntel => "x86_64-apple-darwin",
            Self::MacArm => "aarch64-apple-darwin",
        }
    }

    /// Its name in those of archives.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows-x86_64",
            Self::MacIntel => "macos-x86_64",
            Self::MacArm => "macos-aarch64",
        }
    }

    /// The program's file.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Windows => "towline.exe",
            Self::MacIntel | Self::MacArm => "towline",
        }
    }

    /// The command that builds the program, in the profile it ships in.
    fn command(self) -> Outcome<Command> {
        let mut command = match self {
            Self::Windows => {
                setup::programs(&[MINGW])?;
                toolchain::with_rustup(self.triple(), run::cargo(), "build")?
            }
            Self::MacIntel | Self::MacArm => toolchain::with_zig(self.triple())?,
        };
        command.args(["--locked", "--profile", "server", "--package", "towline"]);
        command.args(["--bin", "towline", "--target", self.triple()]);
        command.arg("--target-dir").arg(folder().join("build"));
        // For size: at level 3 the program for Windows has 7.7 MB.
        command.env("CARGO_PROFILE_SERVER_OPT_LEVEL", "s");
        Ok(command)
    }

    /// Builds the program, and checks its size and form.
    ///
    /// # Errors
    /// The build failed, or what it gave is too large or no program of this system.
    pub(super) fn build(self) -> Outcome<PathBuf> {
        run::checked(self.command()?)?;
        let built = folder().join("build").join(self.triple()).join("server").join(self.file());
        let program = match self {
            Self::Windows => built,
            Self::MacIntel | Self::MacArm => toolchain::stripped(&built)?,
        };
        let bytes = std::fs::read(&program)?;
        let size = u64::try_from(bytes.len())?;
        console::line(&format!("{}: {size} bytes of {MOST_BYTES}", self.name()));
        ensure(size <= MOST_BYTES, || {
            format!("{}: {size} bytes, at most {MOST_BYTES}", program.display())
        })?;
        match self {
            Self::Windows => ensure(bytes.starts_with(b"MZ"), || "no program of Windows".into())?,
            Self::MacIntel | Self::MacArm => {
                let said = macho::check(&bytes, self == Self::MacArm).map_err(Trouble::new)?;
                console::line(&format!("{}: {said}. It was never run.", self.name()));
            }
        }
        Ok(program)
    }
}
