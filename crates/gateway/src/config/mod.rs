//! The gateway's configuration.
//!
//! Data flow: `gateway.toml` -> [`raw`] -> [`Config`], in which nothing invalid is left.

mod checked;
pub mod cluster;
mod console;
mod key_files;
pub mod mail;
pub mod outbound;
mod place;
pub mod raw;
mod warnings;

pub use key_files::{open_to_others, read_key};
pub use place::{StorePlace, in_file, on_server, replace, take_rights};
pub use warnings::warnings;

pub use checked::{
    AUTHORITY_KEY, CA, CA_KEY, Config, ConfigError, FILE, NODE_KEY, SERVER_KEY, STORE, STORE_KEY,
    address, is_region,
};
