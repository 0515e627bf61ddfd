//! The files of the gateway's directory that hold secrets: how they are read, and who else may.
//!
//! # Invariants
//! - An error and a warning name the file, never what is in it.
//!
//! # Not here
//! - What is made by `init`, with mode 0600: [`towline_host::files`].

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use towline_host::files::{self, FileError};
use zeroize::Zeroizing;

use super::{AUTHORITY_KEY, CA_KEY, Config, NODE_KEY, STORE, STORE_KEY};
use crate::limits::MAX_CONFIG_FILE;

/// The bytes of a key file of the directory.
///
/// # Errors
/// [`FileError`], which says what to do when the file is not there.
pub fn read_key(dir: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let read = files::read(&dir.join(name), MAX_CONFIG_FILE).map(Zeroizing::new);
    read.map_err(|error| match error.source.kind() {
        ErrorKind::NotFound => FileError {
            doing: "a key is missing, put it back from where you keep it or restore a backup: \
                    cannot read",
            ..error
        },
        _ => error,
    })
}

/// A sentence for the directory and each secret in it that other users of the machine can read or
/// write.
#[must_use]
pub fn open_to_others(config: &Config) -> Vec<String> {
    let own = [AUTHORITY_KEY, STORE_KEY, CA_KEY, STORE, NODE_KEY, towline_archive::KEY];
    let own = own.iter().map(|name| (config.dir.join(name), 0o077, 0o600));
    // The server's key may be shared with a group, as certificate managers do.
    let shared = [(config.dir.clone(), 0o077, 0o700), (config.tls_key.clone(), 0o007, 0o600)];
    shared.into_iter().chain(own).filter_map(complaint).collect()
}

fn complaint((path, others, good): (PathBuf, u32, u32)) -> Option<String> {
    let mode = std::fs::metadata(&path).ok()?.mode() & 0o7777;
    let path = path.display();
    (mode & others != 0)
        .then(|| format!("other users can use {path} (mode {mode:03o}): chmod {good:03o} {path}"))
}
