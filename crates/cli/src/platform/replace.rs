//! A file of configuration is replaced.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::side::{create_like, private_folder};

/// Puts a new file in place of the old one, with its rights; a power cut leaves the old or the new
/// one.
///
/// # Errors
/// What the system says.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Behind a link stands the file that is meant.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("."));
    private_folder(folder)?;
    let beside = PathBuf::from(format!("{}.towline-{}", path.display(), std::process::id()));
    let mut file = create_like(&path, &beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let done = written.and_then(|()| fs::rename(&beside, &path));
    if done.is_err() {
        // What cannot be removed either has been named to nobody.
        let _ = fs::remove_file(&beside);
    }
    done
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_file_is_replaced_with_its_rights_and_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real"), folder.path().join("link"));
        replace(&folder.path().join("new/config"), "x").unwrap();
        replace(&file, "one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "two").unwrap();
        assert_eq!((read(&file), read(&link)), ("two".to_owned(), "two".to_owned()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
