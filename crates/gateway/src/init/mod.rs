//! `towline-gateway init`: what a gateway needs, made once.
//!
//! Data flow: options -> [`certs`] and keys -> the directory that [`run`] fills.

pub mod certs;
mod made;

pub(crate) use made::{ADMIN_DOCUMENT, ADMIN_POLICY};
pub use made::{DEFAULT_ACCOUNT, DEFAULT_REGION, InitError, Made, Options, run};
