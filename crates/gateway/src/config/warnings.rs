//! What an administrator has to know of a configuration that works.

use super::{Config, open_to_others};

/// A sentence for each secret that others can read, and for each place that gets recordings in
/// plain text.
#[must_use]
pub fn warnings(config: &Config) -> Vec<String> {
    open_to_others(config).into_iter().chain(config.evidence.in_plain_text()).collect()
}
