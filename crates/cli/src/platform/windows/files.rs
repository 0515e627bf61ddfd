//! Rights and identities of files, paths that name streams, folders of configuration.
//!
//! # Invariants
//! - A new file has the rights that its folder gives; the folders of a user's profile are closed to
//!   other users.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::io::AsHandle as _;
use std::path::{Path, PathBuf};

use towline_files::{Fault, Place};

use crate::platform::Source;

/// The variable that names the home folder.
pub(crate) const HOME: &str = "USERPROFILE";
/// Names of this machine and its neighbours.
pub(crate) const HOSTS: &str = r"C:\Windows\System32\drivers\etc\hosts";
/// The file of this program's configuration, for people.
pub(crate) const OWN_FILE: &str = r"%APPDATA%\towline\config.toml";
/// What a console calls its kind of terminal.
pub(crate) const TERM: Option<&str> = Some("xterm-256color");

/// The folder of this program's configuration, by variables of the environment.
#[must_use]
pub(crate) fn own_folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    Some(PathBuf::from(variable("APPDATA")?).join("towline"))
}

/// A variable's name as it is looked for: here their case means nothing.
#[must_use]
pub(crate) fn variable_name(mut name: String) -> String {
    name.make_ascii_uppercase();
    name
}

/// A word of a command line that ssh gives to the system's shell.
#[must_use]
pub(crate) fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}

/// Whether a path names a stream of this process, not a file.
#[must_use]
pub(crate) fn is_stream(path: &Path) -> bool {
    matches!(path.as_os_str().as_encoded_bytes(), b"/dev/stdout" | b"/dev/stderr")
}

/// Opens the stream that a path names, for writing.
///
/// # Errors
/// What the system says.
pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    let own = match path.ends_with("stderr") {
        true => io::stderr().as_handle().try_clone_to_owned(),
        false => io::stdout().as_handle().try_clone_to_owned(),
    };
    Ok(own?.into())
}

/// Makes a folder, and those that it is in.
///
/// # Errors
/// What the system says.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// Makes a file that is not there yet.
///
/// # Errors
/// What the system says.
pub(crate) fn create_like(_old: &Path, path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Makes a file that is not there yet, to be written and read. Its folder says who may read it.
///
/// # Errors
/// What the system says.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// The mask for the modes of new files on a device.
#[must_use]
pub(crate) const fn umask() -> u32 {
    0o022
}

/// Permission bits for a copy of a file on a device.
#[must_use]
pub(crate) fn mode(what: &Metadata) -> u32 {
    match (what.is_dir(), what.permissions().readonly()) {
        (true, _) => 0o755,
        (false, true) => 0o444,
        (false, false) => 0o644,
    }
}

/// Opens what stands at `below`, downwards from the directory `root`. A link below `root` is
/// refused.
///
/// # Errors
/// [`Fault`].
pub(crate) fn enter_beneath(root: &Path, below: &Path) -> Result<Source, Fault> {
    Place::beneath(root, below)?;
    let path = root.join(below);
    let what = path.symlink_metadata()?;
    if what.is_symlink() { Err(Fault::Link(path)) } else { Source::of(&path, &what) }
}

/// The whole path, links resolved: what tells a folder from every other.
pub(crate) type Identity = PathBuf;

/// The identity of the file at `path`.
///
/// # Errors
/// What the system says.
pub(crate) fn identity(path: &Path, _what: &Metadata) -> io::Result<Identity> {
    path.canonicalize()
}

/// Sockets have no files here.
#[must_use]
pub(crate) const fn is_socket(_what: &Metadata) -> bool {
    false
}

/// Changes when the content of a file does.
#[must_use]
pub(crate) fn stamp(what: &Metadata) -> impl PartialEq + use<> {
    (what.len(), what.modified().ok())
}
