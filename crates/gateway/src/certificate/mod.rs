//! The server's certificate: what it says, how it is kept current, the one of a year that clients
//! of HTTP get, and those that the private authority signs for other gateways.
//!
//! # Invariants
//! - Every certificate that the port shows has the key of `tls_key`: a pin of that key holds for
//!   all.
//!
//! # Not here
//! - How the authority and the certificate of `init` are made: [`crate::init::certs`].

mod der;
mod facts;
mod install;
mod names;
mod of_a_year;
mod private_ca;
mod request;
mod signing;
mod watch;

pub use facts::{Facts, is_public};
pub use install::{InstallError, Installed, asked_names, install, key_in_use, key_to_ask_with};
pub use names::NameError;
pub use private_ca::{PrivateCa, SignError, Signed};
pub use request::{MAX_REQUEST, Request, RequestError, write};
pub use signing::Signing;
pub use watch::{Watched, configs, keep, log};
