//! The viewers that users have now.
//!
//! # Invariants
//! - Viewers that are over are forgotten at the next count, and so are users without a viewer.

use std::collections::HashMap;
use std::sync::{Mutex, Weak};

use crate::lock::lock;
use crate::plane::Watching;

/// What each user watches, by the user's id.
#[derive(Default)]
pub(super) struct Watches(Mutex<HashMap<String, Vec<Weak<dyn Watching>>>>);

impl Watches {
    /// How many sessions a user watches now.
    pub(super) fn count(&self, user: &str) -> usize {
        let mut watches = lock(&self.0);
        watches.retain(|_, of_user| {
            of_user.retain(is_alive);
            !of_user.is_empty()
        });
        watches.get(user).map_or(0, Vec::len)
    }

    /// One more.
    pub(super) fn add(&self, user: &str, watching: Weak<dyn Watching>) {
        lock(&self.0).entry(user.to_owned()).or_default().push(watching);
    }
}

/// Whether a viewer goes on, or may still come.
pub(super) fn is_alive(watching: &Weak<dyn Watching>) -> bool {
    watching.upgrade().is_some_and(|watching| !watching.is_over())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Scripted(AtomicBool);

    impl Watching for Scripted {
        fn is_over(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
        fn end(&self, _: &str) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn viewers_count_for_their_user_until_they_are_over_or_gone() {
        let (watches, first, second) =
            (Watches::default(), Arc::new(Scripted::default()), Arc::new(Scripted::default()));
        for viewer in [&first, &second] {
            let viewer: Arc<dyn Watching> = Arc::clone(viewer) as _;
            watches.add("ann", Arc::downgrade(&viewer));
        }
        assert_eq!((watches.count("ann"), watches.count("bob")), (2, 0));
        first.end("over");
        assert_eq!(watches.count("ann"), 1);
        drop(second);
        assert_eq!(watches.count("ann"), 0);
    }
}
