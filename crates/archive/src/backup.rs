//! What a backup keeps of the archive: how far exports have come, the node's chain, and what has
//! not reached the sink.
//!
//! # Invariants
//! - Cursors of exports are copied before the store is: a cursor older than the store repeats rows
//!   after a restore, a newer one would skip rows.
//! - Files of the outbox are linked, not copied: they never change, and a backup of a full outbox
//!   takes no room while it is packed.
//!
//! # Not here
//! - Recordings that are under way, outputs that are arriving, and what is in the sink.

use std::fs;
use std::io;
use std::path::Path;

use towline_host::files;

use crate::part;

/// Folders of evidence that a backup keeps.
const FOLDERS: [&str; 3] = ["chain", "outbox", "quarantine"];

/// Extension of the files that say how far an export has come.
const CURSOR: &str = "cursor";

/// Copies the cursors of exports from `home` to the folder `to`, which is made.
///
/// # Errors
/// The disk's.
pub fn copy_cursors(home: &Path, to: &Path) -> io::Result<()> {
    private(to)?;
    let entries = match fs::read_dir(home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == CURSOR)
            && let Some(name) = path.file_name()
        {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Copies what is unsent from `home` to the folder `to`, which is made.
///
/// # Errors
/// The disk's.
pub fn copy_unsent(home: &Path, to: &Path) -> io::Result<()> {
    private(to)?;
    for name in FOLDERS {
        copy(&home.join(name), &to.join(name), name != "chain")?;
    }
    let part = home.join(part::FILE);
    if part.exists() {
        fs::copy(&part, to.join(part::FILE))?;
    }
    Ok(())
}

fn private(folder: &Path) -> io::Result<()> {
    files::private_dir(folder).map_err(|error| error.source)
}

/// `link`: files that do not change any more.
fn copy(from: &Path, to: &Path, link: bool) -> io::Result<()> {
    private(to)?;
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = match entry.file_type() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            kind => kind?,
        };
        let done = if kind.is_dir() {
            copy(&path, &target, link)
        } else if link && fs::hard_link(&path, &target).is_ok() {
            Ok(())
        } else {
            fs::copy(&path, &target).map(drop)
        };
        match done {
            // It was sent meanwhile: the sink has it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn put(path: &Path, text: &str) {
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_copy_has_the_cursors_of_exports() {
        let dir = tempfile::tempdir().unwrap();
        let (home, to) = (dir.path().join("evidence"), dir.path().join("copy"));
        copy_cursors(&home, &to).unwrap();
        fs::create_dir(&home).unwrap();
        put(&home.join("trail.cursor"), "7");
        put(&home.join("trail.new"), "8");
        copy_cursors(&home, &to).unwrap();
        copy_unsent(&home, &to).unwrap();
        assert_eq!(fs::read(to.join("trail.cursor")).unwrap(), b"7");
        assert!(!to.join("trail.new").exists());
    }

    #[test]
    fn a_copy_has_chain_and_unsent_files_and_no_recording() {
        let dir = tempfile::tempdir().unwrap();
        let (home, to) = (dir.path().join("evidence"), dir.path().join("copy"));
        for (name, text) in [
            ("chain/0.jsonl", "{}"),
            ("outbox/a/b.cast.gz", "x"),
            ("staging/s", "y"),
            ("records/r", "z"),
        ] {
            let path = home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            put(&path, text);
        }
        copy_unsent(&home, &to).unwrap();
        assert_eq!(fs::read(to.join("chain/0.jsonl")).unwrap(), b"{}");
        assert_eq!(fs::read(to.join("outbox/a/b.cast.gz")).unwrap(), b"x");
        assert!(!to.join("staging").exists() && !to.join("records").exists());
        // The chain grows on: a link would grow with it.
        put(&home.join("chain/0.jsonl"), "{}{}");
        assert_eq!(fs::read(to.join("chain/0.jsonl")).unwrap(), b"{}");
    }
}
