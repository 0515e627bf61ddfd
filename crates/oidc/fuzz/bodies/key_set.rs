//! Any bytes as a provider's key set: bounded, and never an empty set.

use towline_oidc::KeySet;
use towline_oidc::limits::MAX_KEYS;

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(keys) = KeySet::parse(bytes) {
        assert!(!keys.is_empty() && keys.len() <= MAX_KEYS);
        assert!(keys.knows(None));
    }
}
