//! Replaces a file as a whole: a power failure leaves the old file or the new one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes beside the target, syncs, renames over it, syncs the directory.
///
/// # Errors
/// What the system said; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    exchange(path, bytes, mode, File::sync_all)?;
    File::open(dir)?.sync_all()
}

/// The same without a wait for the disk, for a file that a restart of the device makes anew: a
/// reader finds the old text or the new one, a power failure may leave none.
///
/// # Errors
/// What the system said; the old file is then untouched.
pub fn replace_for_now(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    exchange(path, bytes, mode, |_| Ok(()))
}

fn exchange(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    sync: fn(&File) -> io::Result<()>,
) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = Path::new(&beside);
    let _ = fs::remove_file(beside); // left by an agent with this number that was killed
    // O_EXCL: a link that somebody has put there is not followed.
    let made = File::options().write(true).create_new(true).mode(mode).open(beside);
    let written = made
        .and_then(|mut file| file.write_all(bytes).and_then(|()| sync(&file)))
        .and_then(|()| fs::rename(beside, path));
    written.inspect_err(|_| drop(fs::remove_file(beside)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_replaced_file_has_the_new_text_and_the_mode_asked_for_and_nothing_lies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, b"one", 0o600).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_place_of_the_new_file_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("file"), dir.path().join("other"));
        replace(&other, b"kept", 0o600).unwrap();
        let beside = dir.path().join(format!("file.{}.new", std::process::id()));
        std::os::unix::fs::symlink(&other, &beside).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(
            (fs::read(&other).unwrap(), fs::read(&path).unwrap()),
            (b"kept".to_vec(), b"new".to_vec())
        );
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"x", 0o600).is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
