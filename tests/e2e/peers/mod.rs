//! The other end, played by a test: an agent that is none, a gateway that is none, a client that is
//! none. They speak the wire byte by byte.

pub(crate) mod agent;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod line;
#[cfg(target_arch = "x86_64")]
pub(crate) mod taken_over;
pub(crate) mod vendor;
