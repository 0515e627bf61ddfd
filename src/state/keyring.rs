//! The key in use, and the next one during a rotation.
//!
//! Data flow: [`KeyRing::make_next`] stores a new key as `device.key.new` -> the gateway adds it
//! -> a link dialled with it is accepted -> [`KeyRing::welcomed`] renames it over `device.key`.
//!
//! # Invariants
//! - At each moment one of the two files is a key that the gateway accepts: the key that was
//!   accepted last is never overwritten before another one was accepted.
//! - The next key is used first, the old one only when the gateway does not know the next: see
//!   [`KeyRing::refused`].
//! - This process keeps its lock of the directory while the key file is replaced.

use super::key::{self, DeviceKey};
use super::{Dir, StateError};
use crate::logger;
use nix::fcntl::Flock;
use std::fs::{self, File};

/// The keys of one device, and the claim on its directory.
#[derive(Debug)]
pub struct KeyRing {
    dir: Dir,
    current: DeviceKey,
    next: Option<DeviceKey>,
    /// The next dial uses `next`.
    ahead: bool,
    /// One refusal was heard since the last welcome: both keys had their turn.
    both_tried: bool,
    /// `current` was welcomed and still lies in the file of the next key.
    unsettled: bool,
    claim: Flock<File>,
}

impl KeyRing {
    /// Reads the keys of a directory and claims it.
    ///
    /// # Errors
    /// No key, a damaged one, or another agent runs with it.
    pub fn load(dir: &Dir) -> Result<Self, StateError> {
        let current = DeviceKey::load(dir)?;
        let claim = dir.lock()?;
        let next = match DeviceKey::load_from(dir, key::NEXT_FILE) {
            Ok(next) => Some(next),
            Err(StateError::NotEnrolled(_)) => None,
            Err(error) => {
                logger::warning!("cannot use the new key: {error}");
                None
            }
        };
        let ahead = next.is_some();
        Ok(Self {
            dir: dir.clone(),
            current,
            next,
            ahead,
            both_tried: false,
            unsettled: false,
            claim,
        })
    }

    /// The key for the next dial.
    #[must_use]
    pub fn in_use(&self) -> &DeviceKey {
        self.next.as_ref().filter(|_| self.ahead).unwrap_or(&self.current)
    }

    /// Makes and stores a further key; the next dial uses it.
    ///
    /// # Errors
    /// The directory cannot be written, or no random numbers. The keys are then as they were.
    pub fn make_next(&mut self) -> Result<&DeviceKey, StateError> {
        self.settle()?; // else the only key that is let in would be overwritten
        let next = DeviceKey::make_in(&self.dir, key::NEXT_FILE)?;
        (self.ahead, self.both_tried) = (true, false);
        Ok(self.next.insert(next))
    }

    /// Whether a key waits to take the place of the current one.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// The gateway does not know the key in use. True when another one is to be tried at once.
    pub fn refused(&mut self) -> bool {
        if self.next.is_none() {
            return false;
        }
        self.ahead = !self.ahead;
        !std::mem::replace(&mut self.both_tried, true)
    }

    /// A link that was dialled with the key in use was welcomed.
    pub fn welcomed(&mut self) {
        self.both_tried = false;
        let Some(next) = self.next.take() else { return };
        if !std::mem::take(&mut self.ahead) {
            // The gateway never heard of it. A file that stays would cost one refused dial at each
            // start.
            logger::info!(
                "the gateway did not accept the new key {}; the old one stays",
                next.fingerprint()
            );
            let _ = fs::remove_file(self.dir.file(key::NEXT_FILE));
            return;
        }
        logger::info!("linked by the new key {}", next.fingerprint());
        self.current = next;
        self.unsettled = true;
        if let Err(error) = self.settle() {
            logger::warning!("{error}; the new key stays beside the old one and is used first");
        }
    }

    /// Gives the welcomed key its place. The claim goes with the file: the lock is on what is
    /// renamed.
    fn settle(&mut self) -> Result<(), StateError> {
        if self.unsettled {
            let claim = self.dir.lock_file(key::NEXT_FILE)?;
            let (from, to) = (self.dir.file(key::NEXT_FILE), self.dir.file(key::FILE));
            let moved =
                fs::rename(from, &to).and_then(|()| File::open(self.dir.path())?.sync_all());
            moved.map_err(|source| StateError::File { doing: "replace", path: to, source })?;
            self.claim = claim;
            self.unsettled = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> (tempfile::TempDir, Dir, String) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::at(temp.path());
        let fingerprint = DeviceKey::make(&dir).unwrap().fingerprint();
        (temp, dir, fingerprint)
    }

    #[test]
    fn a_new_key_takes_the_old_one_s_place_when_it_was_welcomed() {
        let (_temp, dir, old) = device();
        let mut ring = KeyRing::load(&dir).unwrap();
        assert_eq!(ring.in_use().fingerprint(), old);
        let new = ring.make_next().unwrap().fingerprint();
        assert_ne!(new, old);
        assert_eq!(
            (ring.in_use().fingerprint(), DeviceKey::load(&dir).unwrap().fingerprint()),
            (new.clone(), old)
        );
        ring.welcomed();
        assert_eq!(DeviceKey::load(&dir).unwrap().fingerprint(), new);
        assert!(!dir.file(key::NEXT_FILE).exists());
        assert!(
            matches!(KeyRing::load(&dir), Err(StateError::InUse(_))),
            "the claim holds for the new file"
        );
    }

    #[test]
    fn after_a_crash_the_new_key_is_tried_first_and_the_old_one_when_it_is_not_known() {
        let (_temp, dir, old) = device();
        let new = KeyRing::load(&dir).unwrap().make_next().unwrap().fingerprint();
        let mut ring = KeyRing::load(&dir).unwrap();
        assert_eq!(ring.in_use().fingerprint(), new);
        assert!(ring.refused(), "the old one is to be tried at once");
        assert_eq!(ring.in_use().fingerprint(), old);
        assert!(!ring.refused(), "neither is known: no hurry any more");
        assert_eq!(ring.in_use().fingerprint(), new);
        assert!(!ring.refused());
        ring.welcomed();
        assert_eq!((ring.in_use().fingerprint(), ring.has_next()), (old.clone(), false));
        assert_eq!(KeyRing::load(&dir).map_err(|_| ()).map(|_| ()), Err(()), "claimed");
        drop(ring);
        assert_eq!(KeyRing::load(&dir).unwrap().in_use().fingerprint(), old);
    }

    #[test]
    fn a_welcomed_key_that_could_not_be_settled_is_not_overwritten() {
        let (_temp, dir, old) = device();
        let mut ring = KeyRing::load(&dir).unwrap();
        ring.make_next().unwrap();
        let (file, place) = (dir.file(key::FILE), dir.file("aside"));
        fs::rename(&file, &place).unwrap();
        // a rename over a directory fails, as one on a read-only file system does
        fs::create_dir(&file).unwrap();
        ring.welcomed();
        let welcomed = ring.in_use().fingerprint();
        assert!(ring.make_next().is_err());
        assert_eq!(ring.in_use().fingerprint(), welcomed);
        fs::remove_dir(&file).unwrap();
        fs::rename(&place, &file).unwrap();
        drop(ring);
        let mut restarted = KeyRing::load(&dir).unwrap();
        assert_eq!(restarted.in_use().fingerprint(), welcomed);
        restarted.welcomed();
        assert_eq!(DeviceKey::load(&dir).unwrap().fingerprint(), welcomed);
        assert_ne!(welcomed, old);
    }

    #[test]
    fn a_device_that_is_enrolled_anew_forgets_a_key_that_was_begun() {
        let (_temp, dir, _) = device();
        KeyRing::load(&dir).unwrap().make_next().unwrap();
        let anew = DeviceKey::make(&dir).unwrap().fingerprint();
        assert_eq!(KeyRing::load(&dir).unwrap().in_use().fingerprint(), anew);
    }
}
