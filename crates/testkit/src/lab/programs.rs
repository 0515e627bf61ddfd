//! Where the programs under test are: built beforehand, in the profiles they ship in or in another
//! folder.
//!
//! # Invariants
//! - A folder from the environment wins over one that [`take_from`] set, which wins over the target
//!   directory.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{Outcome, Trouble};

/// Names a folder that holds all three programs, in place of the target directory.
pub const FOLDER: &str = "TOWLINE_BIN_DIR";

/// The folder that this process was told to take.
static TAKEN: OnceLock<PathBuf> = OnceLock::new();

/// The folder that holds all three programs, if one was named.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from).or_else(|| TAKEN.get().cloned())
}

/// Makes this process take the programs from a folder, unless the environment names one.
///
/// # Errors
/// It takes them from another folder already.
pub fn take_from(folder: &Path) -> Outcome {
    let taken = TAKEN.get_or_init(|| folder.to_owned());
    if taken == folder {
        return Ok(());
    }
    Err(Trouble::new(format!(
        "programs are taken from {} already, not from {}",
        taken.display(),
        folder.display()
    )))
}

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
    /// Finds them in the [`folder`], or in the workspace's target directory.
    ///
    /// # Errors
    /// One is not there: which, and how to build it.
    pub fn find() -> Outcome<Self> {
        let folder = folder();
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
