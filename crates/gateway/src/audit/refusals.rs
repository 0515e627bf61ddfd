//! Refusals that are counted, so that nobody fills the audit trail with them.
//!
//! Data flow: a refused request, enrollment or link -> [`Refusals::count`] -> within the budget of
//! its source a row of its own, else a count -> when the window is over [`Refusals::rows`], one row
//! with the count and the kinds.
//!
//! # Invariants
//! - No refusal is without a trace: it has a row or is in a count.
//! - Strangers have [`limits::STRANGER_SOURCES`] windows at once; the refusals of all other sources
//!   are counted together. So strangers cause a bounded number of rows, however many addresses they
//!   have.
//!
//! # Not here
//! - Turning sources away: [`crate::throttle`]. What was done as asked is never counted instead of
//!   written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use towline_host::clock::UnixMillis;
use towline_store::{AuditRow, TrailRoom};

use super::event::Event;
use crate::limits;
use crate::throttle::subscriber;

/// Whose refusals are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// Somebody who has proved nothing, by the address.
    Stranger(IpAddr),
    /// A user, also in a role, by the id.
    Principal(String),
    /// A device, by its id.
    Device(String),
}

impl Who {
    /// Whether it is somebody who has proved nothing.
    #[must_use]
    pub const fn is_stranger(&self) -> bool {
        matches!(self, Self::Stranger(_))
    }

    /// The row, in the room and the share of who caused it.
    pub(super) fn takes(&self, row: AuditRow) -> AuditRow {
        let whose = match self {
            Self::Stranger(_) => String::new(),
            Self::Principal(id) | Self::Device(id) => id.clone(),
        };
        AuditRow { room: self.kind().room(), whose, ..row }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::Stranger(_) => Kind::Stranger,
            Self::Principal(_) => Kind::Principal,
            Self::Device(_) => Kind::Device,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Stranger,
    Principal,
    Device,
}

impl Kind {
    /// Rows of their own in a window, and windows at once.
    const fn budget(self) -> (u32, usize) {
        match self {
            Self::Stranger => (limits::STRANGER_ROWS, limits::STRANGER_SOURCES),
            Self::Principal => (limits::PRINCIPAL_ROWS, limits::FOLDED_NAMES),
            Self::Device => (limits::DEVICE_ROWS, limits::FOLDED_DEVICES),
        }
    }

    /// The room of the trail for what is counted.
    const fn room(self) -> TrailRoom {
        match self {
            Self::Stranger => TrailRoom::Strangers,
            Self::Principal => TrailRoom::Reads,
            Self::Device => TrailRoom::Devices,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    One(Who),
    /// All others of a kind, when there are too many windows.
    Others(Kind),
}

#[derive(Debug)]
struct Window {
    began: UnixMillis,
    rows: u32,
    count: u64,
    kinds: BTreeMap<String, u64>,
    /// Codes that a stranger's row has shown.
    codes: BTreeSet<String>,
    /// ARN of the principal, for the row with the count.
    principal: String,
    source_ip: String,
}

/// The windows that are open.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    open: HashMap<Key, Window>,
    /// Those of a name, by kind.
    named: HashMap<Kind, usize>,
    /// When it was last looked for windows that are over.
    looked: Option<UnixMillis>,
}

impl Refusals {
    /// Counts an event of `who`. `true`: it gets a row of its own.
    pub(super) fn count(&self, who: &Who, event: &Event, now: UnixMillis) -> bool {
        let mut windows = self.lock();
        let (kind, mut key) = (who.kind(), Key::One(folded(who)));
        let (most, at_once) = kind.budget();
        if !windows.open.contains_key(&key) {
            let named = windows.named.entry(kind).or_default();
            if *named >= at_once {
                key = Key::Others(kind);
            } else {
                *named += 1;
            }
        }
        let others = matches!(key, Key::Others(_));
        let window = windows.open.entry(key).or_insert_with(|| Window {
            began: now,
            rows: 0,
            count: 0,
            kinds: BTreeMap::new(),
            codes: BTreeSet::new(),
            principal: if others { String::new() } else { event.principal.clone() },
            source_ip: if others { String::new() } else { event.source_ip.clone() },
        });
        let code = event.error.as_ref().map_or("", |(code, _)| code);
        // Of a stranger one row for each reason; the rest tells nothing new.
        let new = kind != Kind::Stranger || !window.codes.contains(code);
        if !others && window.rows < most && new {
            window.rows += 1;
            if kind == Kind::Stranger {
                window.codes.insert(code.to_owned());
            }
            return true;
        }
        window.count += 1;
        let mut kind = format!("{} {code}", event.name).trim().to_owned();
        if window.kinds.len() >= limits::FOLDED_KINDS && !window.kinds.contains_key(&kind) {
            kind = "others".to_owned();
        }
        *window.kinds.entry(kind).or_default() += 1;
        false
    }

    /// The rows of windows that are over, or of all. A window without a count leaves no row.
    pub(super) fn rows(&self, now: UnixMillis, all: bool) -> Vec<AuditRow> {
        let mut over = Vec::new();
        let Windows { open, named, looked } = &mut *self.lock();
        let again = |looked: UnixMillis| now < looked || now >= looked.plus(limits::FOLD_TICK);
        if !all && !looked.is_none_or(again) {
            return Vec::new();
        }
        *looked = Some(now);
        open.retain(|key, window| {
            // A clock that was set back ends a window, too.
            let open = window.began <= now && now < window.began.plus(limits::FOLD_WINDOW);
            if open && !all {
                return true;
            }
            if window.count > 0 {
                over.push((key.clone(), event(key, window, now)));
            }
            if let Key::One(who) = key
                && let Some(number) = named.get_mut(&who.kind())
            {
                *number = number.saturating_sub(1);
            }
            false
        });
        if open.len() < open.capacity() / 4 {
            open.shrink_to(2 * open.len()); // a whole fleet has returned
        }
        let row = |(key, event): (Key, Event)| {
            let row = event.row(now);
            match key {
                Key::One(who) => who.takes(row),
                Key::Others(kind) => AuditRow { room: kind.room(), ..row },
            }
        };
        over.into_iter().map(row).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn folded(who: &Who) -> Who {
    match who {
        Who::Stranger(source) => Who::Stranger(subscriber(*source)),
        other => other.clone(),
    }
}

/// The event with the count.
fn event(key: &Key, window: &Window, now: UnixMillis) -> Event {
    let seconds = now.0.saturating_sub(window.began.0).max(0) / 1000;
    let kinds = window.kinds.iter().map(|(kind, count)| format!("{kind}: {count}"));
    let mut facts = vec![
        ("count", window.count.to_string()),
        ("since", window.began.to_rfc3339()),
        ("seconds", seconds.to_string()),
        ("kinds", kinds.collect::<Vec<_>>().join(", ")),
    ];
    let whose = match key {
        Key::One(Who::Stranger(_)) => "of this source",
        Key::One(Who::Principal(_)) => "of this principal",
        Key::One(Who::Device(device)) => {
            facts.push(("deviceId", device.clone()));
            "of this device"
        }
        Key::Others(Kind::Stranger) => "of other sources",
        Key::Others(Kind::Principal) => "of other principals",
        Key::Others(Kind::Device) => "of other devices",
    };
    let text = format!("{} more {whose} have no line of their own", window.count);
    Event {
        source: "towline",
        name: "RefusalsCounted".to_owned(),
        principal: window.principal.clone(),
        source_ip: window.source_ip.clone(),
        facts,
        error: Some(("BudgetExceeded".to_owned(), text)),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn refused(name: &str) -> Event {
        let error = Some(("AccessDeniedException".to_owned(), "no".to_owned()));
        Event { name: name.to_owned(), error, ..Event::default() }
    }

    fn line(row: &AuditRow) -> serde_json::Value {
        serde_json::from_str(&row.line).unwrap()
    }

    #[test]
    fn a_window_gives_one_row_with_the_count_when_it_is_over() {
        let refusals = Refusals::default();
        let who = Who::Principal("ann".into());
        let written = (0..100).filter(|_| refusals.count(&who, &refused("X"), NOW)).count();
        assert_eq!(written, limits::PRINCIPAL_ROWS as usize);
        assert!(refusals.rows(NOW, false).is_empty());
        let rows = refusals.rows(NOW.plus(limits::FOLD_WINDOW), false);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].room, &*rows[0].whose), (TrailRoom::Reads, "ann"));
        let line = line(&rows[0]);
        assert_eq!(
            (&line["facts"]["count"], &line["facts"]["kinds"]),
            (&"40".into(), &"X AccessDeniedException: 40".into())
        );
        assert!(refusals.count(&who, &refused("X"), NOW), "a new window has a budget again");
    }

    #[test]
    fn each_device_of_a_fleet_that_returns_has_a_row() {
        let refusals = Refusals::default();
        let came = Event { name: "DeviceConnected".to_owned(), ..Event::default() };
        let rows = (0..10_000)
            .filter(|n| refusals.count(&Who::Device(format!("mi-{n}")), &came, NOW))
            .count();
        assert_eq!(rows, 10_000);
        assert!(refusals.rows(NOW.plus(limits::FOLD_WINDOW), false).is_empty());
        let left = refusals.lock();
        assert_eq!((left.open.len(), left.named[&Kind::Device]), (0, 0));
        assert!(left.open.capacity() < 100);
    }

    #[test]
    fn any_number_of_addresses_causes_a_bounded_number_of_rows() {
        let refusals = Refusals::default();
        let mut rows = 0;
        for n in 0..10_000_u32 {
            let who = Who::Stranger(IpAddr::from(n.to_be_bytes()));
            rows += usize::from(refusals.count(&who, &refused("X"), NOW));
        }
        let more = refusals.rows(NOW, true);
        assert_eq!(rows + more.len(), limits::STRANGER_SOURCES + 1);
        assert_eq!(more[0].room, TrailRoom::Strangers);
        let line = line(&more[0]);
        assert_eq!(line["facts"]["count"], (10_000 - limits::STRANGER_SOURCES).to_string());
    }

    #[test]
    fn addresses_of_one_subscriber_and_kinds_beyond_the_bound_are_counted_together() {
        let refusals = Refusals::default();
        for n in 0..100_u16 {
            let source = format!("2001:db8::{n:x}").parse().unwrap();
            refusals.count(&Who::Stranger(source), &refused(&format!("Op{n}")), NOW);
        }
        let rows = refusals.rows(NOW, true);
        assert_eq!(rows.len(), 1);
        let kinds = line(&rows[0])["facts"]["kinds"].as_str().unwrap().to_owned();
        assert_eq!(kinds.split(", ").count(), limits::FOLDED_KINDS + 1, "{kinds}");
    }
}
