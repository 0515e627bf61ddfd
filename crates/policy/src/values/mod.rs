//! The typed values of conditions: numbers, dates, networks, binary. Each reads its text strictly
//! or not at all.
//!
//! # Not here
//! - Texts and ARNs, which may hold wildcards: [`crate::pattern`], [`crate::arn`].

mod date;
mod network;
mod number;

pub(crate) use date::Moment;
pub(crate) use network::Network;
pub(crate) use number::Decimal;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `true` or `false`, in any case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The bytes of a padded base64 text.
pub(crate) fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
