//! Rights and identities of files, and paths that name descriptors.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::path::Path;

use towline_files::{Fault, Kind, Place};

use crate::platform::Source;

/// Whether a path names a descriptor of this process, not a file.
#[must_use]
pub(crate) fn is_stream(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    let below: [&[u8]; 3] = [b"/dev/fd/", b"/proc/self/fd/", b"/dev/std"];
    below.iter().any(|prefix| text.starts_with(prefix))
        && (!text.starts_with(b"/dev/std") || matches!(text, b"/dev/stdout" | b"/dev/stderr"))
}

/// Opens the descriptor that a path names, for writing.
///
/// # Errors
/// What the kernel says.
pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    // The shell's own descriptor: its position and its mode of appending count.
    let text = path.to_str().unwrap_or_default();
    match text.rsplit('/').next() {
        Some("1" | "stdout") => Ok(rustix::io::dup(rustix::stdio::stdout())?.into()),
        Some("2" | "stderr") => Ok(rustix::io::dup(rustix::stdio::stderr())?.into()),
        _ => OpenOptions::new()
            .append(true)
            .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
            .open(path),
    }
}

/// Makes a folder, and those that it is in, for this user alone.
///
/// # Errors
/// What the kernel says.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a file that is not there yet, with the rights of `old`; for this user alone if that is not
/// there.
///
/// # Errors
/// What the kernel says.
pub(crate) fn create_like(old: &Path, path: &Path) -> io::Result<File> {
    let rights = std::fs::metadata(old).map_or(0o600, |old| old.permissions().mode() & 0o777);
    OpenOptions::new().write(true).create_new(true).mode(rights).open(path)
}

/// Makes a file that is not there yet, for this user alone, to be written and read.
///
/// # Errors
/// What the kernel says.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// The mask for the modes of new files.
#[must_use]
#[allow(clippy::useless_conversion)] // it has sixteen bits on macOS
pub(crate) fn umask() -> u32 {
    // It can only be read by setting it; no other thread makes files yet.
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask);
    u32::from(umask.bits())
}

/// Permission bits of a file, nine of them.
#[must_use]
pub(crate) fn mode(what: &Metadata) -> u32 {
    what.mode() & 0o777
}

/// Opens what stands at `below`, downwards from the directory `root`. A link below `root` is
/// refused, also where another program puts one meanwhile.
///
/// # Errors
/// [`Fault`].
pub(crate) fn enter_beneath(root: &Path, below: &Path) -> Result<Source, Fault> {
    let place = Place::beneath(root, below)?;
    match place.look()? {
        Some(seen) if seen.kind == Kind::Directory => {
            let mut names = Vec::new();
            place.list(false, &mut |name, _| {
                names.push(name);
                Ok(())
            })?;
            Ok(Source::Folder(names, seen.mode & 0o777))
        }
        _ => Ok(Source::File(place.read()?.0)),
    }
}

/// Device and inode: what tells a file from every other.
pub(crate) type Identity = (u64, u64);

/// The identity of the file at `path`; `what` is what is known of it.
///
/// # Errors
/// None here.
pub(crate) fn identity(_path: &Path, what: &Metadata) -> io::Result<Identity> {
    Ok((what.dev(), what.ino()))
}

/// Whether it is a socket.
#[must_use]
pub(crate) fn is_socket(what: &Metadata) -> bool {
    what.file_type().is_socket()
}

/// Changes when the content of a file does.
#[must_use]
pub(crate) fn stamp(what: &Metadata) -> impl PartialEq + use<> {
    (what.len(), what.mtime(), what.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_descriptors_are_no_files() {
        for path in ["/dev/stdout", "/dev/stderr", "/dev/fd/63", "/proc/self/fd/1"] {
            assert!(is_stream(Path::new(path)), "{path}");
        }
        for path in ["/dev/null", "/dev/stdin", "/dev/stdoutx", "dev/stdout", "/dev/fd"] {
            assert!(!is_stream(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn nobody_else_can_open_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = create_private(&dir.path().join("a")).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
