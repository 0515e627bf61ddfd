//! Which classes of devices a run of all tests builds: a class takes four minutes of two cores on a
//! new machine, and seven of them do not fit into the time of such a run.
//!
//! Data flow: the commit's time -> [`order`]: the class of the deb, then the others, begun
//! elsewhere for each commit -> [`Limit::permits`] before each build -> [`left_out`], for people.
//!
//! # Invariants
//! - The first [`ALWAYS`] classes are built whatever the time is.
//! - [`EVERY_CLASS`] in the environment lifts the limit.

use std::time::{Duration, Instant};

/// Builds every class, however long that takes.
pub(super) const EVERY_CLASS: &str = "TOWLINE_EVERY_CLASS";

/// Classes of each run: that of the deb, and one by turn.
const ALWAYS: usize = 2;

/// A run that is older than this begins no further class: the steps behind the devices end within
/// its hour then.
const LATEST: Duration = Duration::from_secs(45 * 60);

/// Until when further classes are begun.
pub(crate) struct Limit {
    latest: Option<Instant>,
}

impl Limit {
    /// For a run that began at `begun`.
    pub(crate) fn of_run(begun: Instant) -> Self {
        if std::env::var_os(EVERY_CLASS).is_some() {
            Self::none()
        } else {
            Self::at(begun + LATEST)
        }
    }

    /// Every class is built.
    pub(super) const fn none() -> Self {
        Self { latest: None }
    }

    const fn at(latest: Instant) -> Self {
        Self { latest: Some(latest) }
    }

    /// Whether a further class may begin after `built` others.
    pub(super) fn permits(&self, built: usize, now: Instant) -> bool {
        built < ALWAYS || self.latest.is_none_or(|latest| now < latest)
    }
}

/// `all` in the order of a run: the first one, then the others, from another one on for each turn.
pub(super) fn order<T>(mut all: Vec<T>, turn: u64) -> Vec<T> {
    if let Some((_, others @ [_, ..])) = all.split_first_mut() {
        let count = u64::try_from(others.len()).unwrap_or(u64::MAX);
        others.rotate_left(usize::try_from(turn % count).unwrap_or(0));
    }
    all
}

/// Names the classes that were not built.
pub(super) fn left_out(names: &[&str]) -> String {
    format!(
        "not built, for the run is too old: {}. Another commit begins with others; \
         {EVERY_CLASS}=1 builds them all",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_class_stays_and_each_other_one_has_its_turn() {
        let all = vec!["x86_64", "aarch64", "armv7", "armv6"];
        assert_eq!(order(all.clone(), 0), all);
        assert_eq!(order(all.clone(), 1), ["x86_64", "armv7", "armv6", "aarch64"]);
        let mut seconds: Vec<&str> = (0..3).map(|turn| order(all.clone(), turn)[1]).collect();
        seconds.sort_unstable();
        assert_eq!(seconds, ["aarch64", "armv6", "armv7"]);
        assert_eq!(order(vec!["x86_64"], 5), ["x86_64"]);
        assert!(order(Vec::<&str>::new(), 5).is_empty());
    }

    #[test]
    fn two_classes_are_built_at_any_time_and_more_while_there_is_time() {
        let now = Instant::now();
        let late = Limit::at(now);
        assert!(late.permits(0, now) && late.permits(1, now) && !late.permits(2, now));
        let early = Limit::at(now + Duration::from_secs(1));
        assert!(early.permits(6, now));
        assert!(Limit::none().permits(6, now + LATEST));
    }

    #[test]
    fn what_is_left_out_is_named() {
        assert!(left_out(&["armv6", "armel"]).contains("armv6, armel."));
    }
}
