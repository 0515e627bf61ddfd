//! The settings: where the gateway is and which access key signs the requests.
//!
//! Data flow: flags, environment, `~/.config/towline/config.toml` ([`raw`]), `~/.aws/config` and
//! `~/.aws/credentials` ([`aws`]) -> [`Settings::resolve`] ([`settings`]) -> [`Settings`].

mod aws;
mod endpoint;
mod error;
pub(crate) mod login;
mod raw;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use endpoint::Endpoint;
pub(crate) use error::ConfigError;
pub(crate) use raw::{Environment, Flags};
pub(crate) use settings::{Identity, Settings};
