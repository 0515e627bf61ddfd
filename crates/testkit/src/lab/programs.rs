//! Where the programs under test are: built beforehand, in the profiles they ship in.

use std::path::{Path, PathBuf};

use crate::{Outcome, Trouble};

/// Names a folder that holds all three programs, in place of the target directory.
pub const FOLDER: &str = "TOWLINE_BIN_DIR";

/// Paths of the three programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// `towline-agent`.
    pub agent: PathBuf,
    /// `towline-gateway`.
    pub gateway: PathBuf,
    /// `towline`.
    pub cli: PathBuf,
}

impl Programs {
    /// Finds them in `TOWLINE_BIN_DIR`, or in the workspace's target directory.
    ///
    /// # Errors
    /// One is not there: which, and how to build it.
    pub fn find() -> Outcome<Self> {
        let folder = std::env::var_os(FOLDER).map(PathBuf::from);
        let target = target_directory();
        let place = |profile: &str, name: &str| {
            let folder = folder.clone().unwrap_or_else(|| target.join(profile));
            let path = folder.join(name);
            if path.is_file() {
                return Ok(path);
            }
            Err(Trouble::new(format!("{} is not built: run `cargo xtask build`", path.display())))
        };
        Ok(Self {
            agent: place("release", "towline-agent")?,
            gateway: place("server", "towline-gateway")?,
            cli: place("server", "towline")?,
        })
    }
}

/// The directory cargo builds into: `CARGO_TARGET_DIR`, or `target` beside the workspace's
/// manifest.
#[must_use]
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.canonicalize().unwrap_or(here)
}
