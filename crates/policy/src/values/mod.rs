//! The typed values of conditions: numbers, dates, networks, binary. Each reads its text strictly
//! or not at all.
//!
//! # Not here
//! - Texts and ARNs, which may hold wildcards: [`crate::pattern`], [`crate::arn`].

mod binary;
mod boolean;
mod date;
mod network;
mod number;

pub(crate) use binary::binary;
pub(crate) use boolean::boolean;
pub(crate) use date::Moment;
pub(crate) use network::Network;
pub(crate) use number::Decimal;
