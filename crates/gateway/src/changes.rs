//! What has changed, for pages that show it: counters by topic, which the hub and the audit trail
//! move.
//!
//! Data flow: a device comes or goes, a session changes, a request was done -> [`Changes::tell`] ->
//! a stream compares its last [`Mark`] with the present one.
//!
//! # Invariants
//! - Nothing about what changed is here: who wants to know asks the API, and policy, for it.
//! - It is bounded: one number a topic, whatever happens.

use std::sync::Arc;

use tokio::sync::watch;
use towline_host::entropy;

/// What a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Devices, their states, names, tags, keys.
    Devices,
    /// Sessions.
    Sessions,
    /// Requests for access.
    Access,
    /// Commands.
    Commands,
}

impl Topic {
    /// All topics, in the order of a mark's numbers.
    pub const ALL: [Self; 4] = [Self::Devices, Self::Sessions, Self::Access, Self::Commands];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Sessions => "sessions",
            Self::Access => "access",
            Self::Commands => "commands",
        }
    }

    /// What an event of the audit trail changes.
    #[must_use]
    pub fn of_event(name: &str) -> &'static [Self] {
        match name {
            "DeviceConnected"
            | "EnrolDevice"
            | "CloneDetected"
            | "RenameDevice"
            | "AddTagsToResource"
            | "RemoveTagsFromResource"
            | "ApproveDevice"
            | "RotateDeviceKey"
            | "RevokeDeviceKey" => &[Self::Devices],
            "DeregisterManagedInstance" => &[Self::Devices, Self::Sessions],
            "StartSession" | "ResumeSession" | "TerminateSession" => &[Self::Sessions],
            "StartAccessRequest" | "ApproveAccessRequest" | "BreakGlass" => &[Self::Access],
            "SendCommand" | "CancelCommand" => &[Self::Commands],
            _ => &[],
        }
    }
}

/// How far each topic has come; of another process when its name differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    process: Arc<str>,
    counts: [u64; Topic::ALL.len()],
}

impl Mark {
    /// The topics that have changed since `before`; all of them, if that is not of this process.
    #[must_use]
    pub fn since(&self, before: Option<&str>) -> Vec<Topic> {
        let before = before.and_then(|text| self.counts_in(text)).unwrap_or_default();
        let of =
            |(at, topic): (usize, &Topic)| (self.counts.get(at) > before.get(at)).then_some(*topic);
        Topic::ALL.iter().enumerate().filter_map(of).collect()
    }

    fn counts_in(&self, text: &str) -> Option<[u64; Topic::ALL.len()]> {
        let mut parts = text.split('.');
        if parts.next()? != &*self.process {
            return None;
        }
        let mut counts = [0; Topic::ALL.len()];
        for count in &mut counts {
            *count = parts.next()?.parse().ok()?;
        }
        parts.next().is_none().then_some(counts)
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.process)?;
        self.counts.iter().try_for_each(|count| write!(f, ".{count}"))
    }
}

/// Tells and is asked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Changes(watch::Sender<Mark>);

impl Default for Changes {
    fn default() -> Self {
        let name = entropy::random::<8>().unwrap_or_default();
        let process: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        // From one: a page that knows nothing is told of every topic once.
        let mark = Mark { process: process.into(), counts: [1; Topic::ALL.len()] };
        Self(watch::Sender::new(mark))
    }
}

impl Changes {
    /// Something of this topic has changed.
    pub fn tell(&self, topic: Topic) {
        self.0.send_modify(|mark| {
            let places = Topic::ALL.iter().zip(&mut mark.counts);
            places.filter(|(of, _)| **of == topic).for_each(|(_, count)| *count += 1);
        });
    }

    /// Something of these topics has changed.
    pub fn tell_all(&self, topics: &[Topic]) {
        topics.iter().for_each(|topic| self.tell(*topic));
    }

    /// For who waits for changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Mark> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_learns_what_has_changed_since_its_mark() {
        let changes = Changes::default();
        let watch = changes.watch();
        let known = watch.borrow().to_string();
        assert_eq!(watch.borrow().since(Some(&known)), []);
        changes.tell_all(Topic::of_event("RenameDevice"));
        changes.tell_all(Topic::of_event("DescribeSessions"));
        assert_eq!(watch.borrow().since(Some(&known)), [Topic::Devices]);
        changes.tell(Topic::Sessions);
        assert_eq!(watch.borrow().since(Some(&known)), [Topic::Devices, Topic::Sessions]);
    }

    #[test]
    fn without_a_mark_of_this_process_everything_may_have_changed() {
        let changes = Changes::default();
        let mark = changes.watch().borrow().clone();
        for unknown in [None, Some("elsewhere.1.1.1.1"), Some("")] {
            assert_eq!(mark.since(unknown), Topic::ALL, "{unknown:?}");
        }
        let cut = mark.to_string().replace(".1.1.1.1", ".1.1");
        assert_eq!(mark.since(Some(&cut)), Topic::ALL);
    }
}
