//! After a restore: the node's chain goes on as a new part, under a name of its own.
//!
//! Data flow: `restore` writes `evidence/part.json` -> `Settings::take_part` names the node -> the
//! recorder begins the new chain with the record that says what it follows.
//!
//! # Invariants
//! - A new part has a new name: its segments and files never replace what the gateway before the
//!   restore has sent to the sink.
//! - The first record of a part names the chain that it follows, and the next checkpoint signs it.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use towline_evidence::node::{Record, What};
use towline_host::files;

use crate::limits::MAX_SEGMENT;

/// Name of the file in the folder of evidence.
pub const FILE: &str = "part.json";
/// Largest such file, bytes.
const MAX_FILE: u64 = 4096;

/// Which part of the node's chain this is, and what it follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// 2 after the first restore.
    pub part: u32,
    /// Name of the chain before.
    pub node: String,
    /// The last checkpoint that the backup has of it, `number:head`.
    pub checkpoint: Option<String>,
    /// When the backup was made, ms since 1970.
    pub backup: i64,
}

impl Part {
    /// The part that follows what a backup holds: `home` is its folder of evidence, `node` the name
    /// in its configuration.
    ///
    /// # Errors
    /// The disk's; a file that is not ours.
    pub fn after(home: &Path, node: &str, backup: i64) -> io::Result<Self> {
        let before = Self::read(home)?;
        let (part, name) = match &before {
            Some(before) => (before.part.saturating_add(1), before.name(node)),
            None => (2, node.to_owned()),
        };
        Ok(Self { part, node: name, checkpoint: last_checkpoint(&home.join("chain"))?, backup })
    }

    /// Reads the file; `None` when nothing was restored here.
    ///
    /// # Errors
    /// The disk's; a file that is not ours.
    pub fn read(home: &Path) -> io::Result<Option<Self>> {
        let path = home.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = files::read(&path, MAX_FILE).map_err(io::Error::other)?;
        let wrong = |error| io::Error::other(format!("{}: {error}", path.display()));
        serde_json::from_slice(&bytes).map(Some).map_err(wrong)
    }

    /// Writes the file in place of an older one.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, home: &Path) -> io::Result<()> {
        let path = home.join(FILE);
        if path.exists() {
            fs::remove_file(&path)?;
        }
        files::create_private(&path, &serde_json::to_vec(self)?).map_err(|error| error.source)
    }

    /// The name of the part of a node.
    #[must_use]
    pub fn name(&self, node: &str) -> String {
        format!("{node}-{}", self.part)
    }
}

/// The newest checkpoint among the segments in a folder, `number:head`.
fn last_checkpoint(folder: &Path) -> io::Result<Option<String>> {
    let mut newest: Option<(u64, String)> = None;
    for entry in fs::read_dir(folder)? {
        let bytes = files::read(&entry?.path(), MAX_SEGMENT).map_err(io::Error::other)?;
        for line in bytes.split(|b| *b == b'\n') {
            let Ok(record) = serde_json::from_slice::<Record>(line) else { continue };
            let newer = newest.as_ref().is_none_or(|(n, _)| record.n > *n);
            if newer && matches!(record.what, What::Checkpoint { .. }) {
                newest = Some((record.n, format!("{}:{}", record.n, record.prev)));
            }
        }
    }
    Ok(newest.map(|(_, checkpoint)| checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_restore_makes_a_part_with_a_new_name_that_follows_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("chain")).unwrap();
        assert_eq!(Part::read(dir.path()).unwrap(), None);
        let second = Part::after(dir.path(), "gw", 7).unwrap();
        assert_eq!((second.node.as_str(), second.name("gw").as_str()), ("gw", "gw-2"));
        second.write(dir.path()).unwrap();
        assert_eq!(Part::read(dir.path()).unwrap(), Some(second));
        let third = Part::after(dir.path(), "gw", 8).unwrap();
        assert_eq!((third.node.as_str(), third.name("gw").as_str()), ("gw-2", "gw-3"));
        third.write(dir.path()).unwrap();
        assert_eq!(Part::read(dir.path()).unwrap().unwrap().part, 3);
    }
}
