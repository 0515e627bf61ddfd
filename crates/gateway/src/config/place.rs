//! Where the store is: a file in the gateway's directory, or a database server.
//!
//! # Invariants
//! - The address in `gateway.toml` holds no password.

use std::path::{Path, PathBuf};

use towline_store::{ServerAddress, Store, StoreError, tag_clashes_in};

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

    /// Looks whether it could be opened, and changes nothing. `Some`: why it could not.
    pub async fn fault(&self) -> Option<String> {
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
            Self::Server(address) => address.check().await.err().map(|error| error.to_string()),
        }
    }
}
