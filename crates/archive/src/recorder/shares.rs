//! How much of the space for files that wait for delivery the recordings of each principal take.
//!
//! Data flow: the recorder's thread looks every few seconds ([`Shares::look`]) -> principals above
//! their share -> their recordings pause, and nobody else's do.
//!
//! # Invariants
//! - Sessions of one role count together, whatever their session names: a new name is no new share.
//! - At most [`COUNTED_WAITING`] finished recordings are counted. After a restart, what waits in
//!   the outbox counts for nobody.
//!
//! # Not here
//! - The bound of all files together: `disk_space`. The bound of one session: `job`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::COUNTED_WAITING;

pub(super) struct Shares {
    /// Bytes that one principal's recordings may take.
    most: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Finished recordings in the outbox: whose, and how many bytes.
    waiting: BTreeMap<PathBuf, (String, u64)>,
    /// Principals above their share, with the reason.
    paused: BTreeMap<String, String>,
}

impl Shares {
    pub(super) fn new(most: u64) -> Self {
        Self { most, inner: Mutex::default() }
    }

    /// Why nothing of this principal is recorded; `None` when it is.
    pub(super) fn paused(&self, principal: &str) -> Option<String> {
        self.lock().paused.get(holder(principal)).cloned()
    }

    /// A finished recording is in the outbox.
    pub(super) fn handed_over(&self, principal: &str, path: &Path, bytes: u64) {
        let mut inner = self.lock();
        if inner.waiting.len() < COUNTED_WAITING {
            inner.waiting.insert(path.to_owned(), (holder(principal).to_owned(), bytes));
        }
    }

    /// Counts anew. `under_way`: principal and bytes of each recording that goes on.
    pub(super) fn look(&self, under_way: impl Iterator<Item = (String, u64)>) {
        let mut taken: BTreeMap<String, u64> = BTreeMap::new();
        for (principal, bytes) in under_way {
            *taken.entry(holder(&principal).to_owned()).or_default() += bytes;
        }
        let mut inner = self.lock();
        inner.waiting.retain(|path, _| path.exists());
        for (principal, bytes) in inner.waiting.values() {
            *taken.entry(principal.clone()).or_default() += bytes;
        }
        taken.retain(|_, bytes| *bytes > self.most);
        for (principal, bytes) in &taken {
            if !inner.paused.contains_key(principal) {
                tracing::warn!(principal, bytes, "recording is paused for one principal");
            }
        }
        inner.paused = taken
            .into_iter()
            .map(|(principal, bytes)| {
                let why = format!(
                    "the recordings of {principal} that wait for delivery have {} MiB, a \
                     principal's \
                     share is {} MiB",
                    bytes >> 20,
                    self.most >> 20
                );
                (principal, why)
            })
            .collect();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner) // whole after each statement
    }
}

/// Whose share a principal's is: of an assumed role, the role's.
fn holder(principal: &str) -> &str {
    match principal.split_once(":assumed-role/") {
        Some((before, rest)) => {
            let role = rest.split('/').next().unwrap_or_default();
            &principal[..before.len() + ":assumed-role/".len() + role.len()]
        }
        None => principal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &str = "arn:aws:iam::0:user/ann";

    #[test]
    fn one_principal_above_its_share_is_paused_and_others_are_not() {
        let shares = Shares::new(10);
        shares.look([(ANN.to_owned(), 6), (ANN.to_owned(), 5), ("bob".to_owned(), 10)].into_iter());
        assert!(shares.paused(ANN).unwrap().contains("a principal's share"));
        assert_eq!(shares.paused("bob"), None);
        shares.look([(ANN.to_owned(), 6)].into_iter());
        assert_eq!(shares.paused(ANN), None, "there is room again");
    }

    #[test]
    fn what_waits_in_the_outbox_counts_until_it_is_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ann-1.cast.gz");
        std::fs::File::create(&path).unwrap();
        let shares = Shares::new(10);
        shares.handed_over(ANN, &path, 11);
        shares.look(std::iter::empty());
        assert!(shares.paused(ANN).is_some());
        std::fs::remove_file(&path).unwrap();
        shares.look(std::iter::empty());
        assert_eq!(shares.paused(ANN), None);
    }

    #[test]
    fn sessions_of_one_role_have_one_share() {
        let of = |name: &str| format!("arn:aws:sts::0:assumed-role/ops/{name}");
        let shares = Shares::new(10);
        shares.look([(of("a"), 6), (of("b"), 6)].into_iter());
        assert!(shares.paused(&of("c")).is_some());
        assert_eq!(shares.paused("arn:aws:sts::0:assumed-role/other/a"), None);
    }
}
