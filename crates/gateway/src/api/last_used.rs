//! When each access key's use was last written: a busy key costs one write a minute.

use std::collections::HashMap;
use std::sync::Mutex;

use towline_host::clock::UnixMillis;

use crate::limits;
use crate::limits::MAX_REMEMBERED_KEYS;
use crate::lock::lock;

/// When each key's use was last written.
#[derive(Debug, Default)]
pub(super) struct LastUsed {
    written: Mutex<HashMap<String, UnixMillis>>,
}

impl LastUsed {
    /// Whether a use of this key is to be written now.
    pub(super) fn is_due(&self, key: &str, now: UnixMillis) -> bool {
        let mut written = lock(&self.written);
        if written.get(key).is_some_and(|at| now < at.plus(limits::LAST_USED_EVERY)) {
            return false;
        }
        if written.len() >= MAX_REMEMBERED_KEYS {
            written.clear(); // costs one extra write for each key in use
        }
        written.insert(key.to_owned(), now);
        true
    }
}
