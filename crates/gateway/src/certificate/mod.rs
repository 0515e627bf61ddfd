//! The server's certificate: what it says, how it is kept current, and the one of a year that
//! clients of HTTP get.
//!
//! # Invariants
//! - Every certificate that the port shows has the key of `tls_key`: a pin of that key holds for
//!   all.
//!
//! # Not here
//! - The authority and the certificate that `init` makes: [`crate::init::certs`].

mod der;
mod facts;
mod of_a_year;
mod watch;

pub use facts::{Facts, is_public};
pub use watch::{Watched, configs, keep, log};
