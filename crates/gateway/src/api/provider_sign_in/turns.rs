//! Requests with one secret wait for each other.
//!
//! # Invariants
//! - A secret has an entry only while a request with it is under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Who waits for the provider with which secret.
#[derive(Debug, Default)]
pub(in super::super) struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// What a request locks while it is under way; `digest` is that of its secret.
    pub(super) fn of(&self, digest: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = lock(&self.0);
        all.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(all.entry(digest.to_owned()).or_default())
    }
}
