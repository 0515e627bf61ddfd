//! A flag that a signal handler sets. Every wait of the kit checks it, so that an interrupted run
//! still cleans up.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Outcome, Trouble};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Asks all waits of this process to end.
pub fn request() {
    REQUESTED.store(true, Ordering::SeqCst);
}

/// Fails once a stop was asked for.
///
/// # Errors
/// "interrupted".
pub fn check() -> Outcome {
    if REQUESTED.load(Ordering::SeqCst) { Err(Trouble::new("interrupted")) } else { Ok(()) }
}
