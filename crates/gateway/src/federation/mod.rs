//! What the gateway knows of identity providers between requests: their endpoints and keys.
//!
//! # Not here
//! - Which providers there are, and who may sign in: the store and the API. The form of tokens:
//!   `towline_oidc`.

mod keys;
#[cfg(test)]
mod tests;

pub use keys::{Known, NotVerified, ProviderKeys, SecretPlace, Unreachable};
