//! Where the store is: a file in the gateway's directory, or a database server.
//!
//! # Invariants
//! - The address in `gateway.toml` holds no password.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use towline_host::files::{self, FileError};
use towline_store::{NodeIdentity, ServerAddress, Store, StoreError, tag_clashes_in};

use super::STORE;

/// Where the store is.
#[derive(Debug, Clone)]
pub enum StorePlace {
    /// In this file.
    File(PathBuf),
    /// On this server.
    Server(Box<ServerAddress>),
}

impl StorePlace {
    /// Reads the settings `store` and `store_password_file`.
    ///
    /// # Errors
    /// [`StoreError::Address`].
    pub fn read(
        dir: &Path,
        store: Option<&str>,
        password_file: Option<&Path>,
    ) -> Result<Self, StoreError> {
        let Some(url) = store else { return Ok(Self::File(dir.join(STORE))) };
        let password_file = password_file.map(|path| dir.join(path));
        Ok(Self::Server(Box::new(ServerAddress::parse(url, password_file.as_deref())?)))
    }

    /// Makes a store that is not there yet. An empty file must be there.
    ///
    /// # Errors
    /// The store's.
    pub async fn create(&self) -> Result<Store, StoreError> {
        match self {
            Self::File(path) => Store::open(path).await,
            Self::Server(address) => Store::create_on(address).await,
        }
    }

    /// Opens a store that must be there.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(&self) -> Result<Store, StoreError> {
        match self {
            Self::File(path) => Store::open_existing(path).await,
            Self::Server(address) => Store::connect(address).await,
        }
    }

    /// Opens a store on a server as one of several nodes.
    ///
    /// # Errors
    /// The store's.
    pub async fn join(&self, node: &NodeIdentity) -> Result<Store, StoreError> {
        match self {
            Self::File(_) => Err(StoreError::Address("several gateways need a server".to_owned())),
            Self::Server(address) => Store::join(address, node).await,
        }
    }

    /// The server of the store.
    ///
    /// # Errors
    /// [`StoreError::Address`] when it is in a file.
    pub fn server(&self) -> Result<&ServerAddress, StoreError> {
        match self {
            Self::File(_) => {
                Err(StoreError::Address("this command is for a store on a server".to_owned()))
            }
            Self::Server(address) => Ok(address),
        }
    }

    /// The file of the store.
    ///
    /// # Errors
    /// [`StoreError::OnServer`] when it is not in a file.
    pub fn file(&self) -> Result<&Path, StoreError> {
        match self {
            Self::File(path) => Ok(path),
            Self::Server(_) => Err(StoreError::OnServer("this command is for a store in a file")),
        }
    }

    /// Looks whether it could be opened, as one of several nodes or alone, and changes nothing.
    /// `Some`: why it could not.
    pub async fn fault(&self, as_node: bool) -> Option<String> {
        match self {
            Self::File(path) => {
                if !std::fs::metadata(path).is_ok_and(|known| known.len() > 0) {
                    return Some(format!("{} is not there or empty", path.display()));
                }
                match tag_clashes_in(path).await {
                    Ok(clashes) if clashes.is_empty() => None,
                    Ok(clashes) => Some(StoreError::TagClashes(clashes).to_string()),
                    Err(error) => Some(error.to_string()),
                }
            }
            Self::Server(address) => {
                address.check(as_node).await.err().map(|error| error.to_string())
            }
        }
    }
}

/// The text of `gateway.toml` with the store in a file, in the gateway's directory.
#[must_use]
pub fn in_file(text: &str) -> String {
    let mut inside = false;
    let is_ours = |line: &&str| {
        inside |= line.trim_start().starts_with('[');
        let key = line.split('=').next().unwrap_or_default().trim();
        inside || !["store", "store_password_file"].contains(&key)
    };
    let lines: Vec<&str> = text.lines().filter(is_ours).collect();
    lines.join("\n") + "\n"
}

/// The text of `gateway.toml` with the store on a server.
#[must_use]
pub fn on_server(text: &str, url: &str, password_file: Option<&Path>) -> String {
    let quoted = |value: String| toml::Value::String(value).to_string();
    let mut lines = format!("store = {}\n", quoted(url.to_owned()));
    if let Some(path) = password_file {
        lines.push_str(&format!("store_password_file = {}\n", quoted(path.display().to_string())));
    }
    lines + &in_file(text)
}

/// Puts content in the place of a file with its mode and owner, whole or not at all.
///
/// # Errors
/// The disk's.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<(), FileError> {
    let failed = |doing: &'static str| {
        let path = path.to_owned();
        move |source| FileError { doing, path, source }
    };
    let mut new = path.as_os_str().to_owned();
    new.push(".put");
    let new = PathBuf::from(new);
    let _ = fs::remove_file(&new); // of an earlier try
    files::create_private(&new, content.as_ref())?;
    take_rights(&new, path)?;
    fs::rename(&new, path).map_err(failed("cannot replace"))
}

/// Gives a file the mode and the owner of the one whose place it is to take.
///
/// # Errors
/// [`FileError`] names what failed.
pub fn take_rights(new: &Path, path: &Path) -> Result<(), FileError> {
    let failed = |doing: &'static str| {
        let path = path.to_owned();
        move |source| FileError { doing, path, source }
    };
    let old = fs::metadata(path).map_err(failed("cannot read"))?;
    fs::set_permissions(new, old.permissions()).map_err(failed("cannot set the mode of"))?;
    chown(new, Some(old.uid()), Some(old.gid())).map_err(failed("cannot set the owner of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_store_changes_and_no_other_line_does() {
        let file = "# ours\nregion = \"eu\"\n[evidence]\nstore = \"of evidence\"\n";
        let there = on_server(file, "postgres://a@b/c", Some(Path::new("/etc/it's \"x\"")));
        let read: toml::Table = there.parse().unwrap();
        assert_eq!(read["store"].as_str(), Some("postgres://a@b/c"));
        assert_eq!(read["store_password_file"].as_str(), Some("/etc/it's \"x\""));
        assert_eq!(read["evidence"]["store"].as_str(), Some("of evidence"));
        assert_eq!(in_file(&there), file);
        let elsewhere = on_server(&there, "postgres://d@e/f", None);
        assert_eq!(elsewhere.matches("postgres://").count(), 1, "{elsewhere}");
    }
}
