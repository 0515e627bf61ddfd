//! Every limit of the gateway on memory, time and number, with its reason and what it costs. One
//! page to edit for a smaller or larger host ([`gateway`]), and beside it one for data channels and
//! viewers ([`channels`]), one for sign-ins through identity providers ([`sign_in`]), one for
//! devices with amazon-ssm-agent ([`vendor`]) and one for several gateways ([`cluster`]). Nothing
//! in this crate grows without a line there.

mod channels;
mod cluster;
mod gateway;
mod sign_in;
mod vendor;

pub use channels::*;
pub use cluster::*;
pub use gateway::*;
pub use sign_in::*;
pub use vendor::*;
