//! The one client for requests that the gateway makes to addresses which people configure, and for
//! mail ([`mail`]).
//!
//! Data flow: a URL -> scheme and host ([`url`]) -> addresses -> [`guard`] -> TLS -> one request ->
//! an answer within bounds.
//!
//! # Invariants
//! - The address that is dialled is the address that was judged: names are resolved once.
//! - No redirect is followed, no proxy is used, no cookie is kept.
//! - Time and size are bounded for the whole exchange.
//!
//! # Not here
//! - S3 and CloudWatch: `towline_archive` has clients of its own (decision 180).

#[cfg(test)]
mod answers;
mod client;
mod guard;
pub mod mail;
mod url;

pub use client::{Ask, Outbound, OutboundError};
pub use guard::Guard;
pub use url::host_of;
