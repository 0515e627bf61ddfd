//! How this crate locks: a panic of another holder does not spread.
//!
//! # Invariants
//! - For collections that are whole after each statement. Who keeps an invariant over several
//!   statements must not use it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic of another holder.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
