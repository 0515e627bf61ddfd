//! Binary values: padded base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The bytes of a padded base64 text.
pub(crate) fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
