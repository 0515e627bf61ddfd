//! The links for which this node has claimed their device, where several work on one store: what
//! presence has to say.
//!
//! Data flow: a link claims its device -> [`Claims::add`] -> its end -> [`Claims::remove`]. When
//! presence may say something else, two looks find what differs: [`Claims::differ`].
//!
//! # Invariants
//! - What one look finds different may be on its way to the store: it is different when the next
//!   look finds it, too.
//!
//! # Not here
//! - What is done about it: `restating`.

use std::collections::HashMap;
use std::sync::Mutex;

use towline_store::Connection;

use crate::lock::lock;

/// Links by device; the latest one last.
#[derive(Debug, Default)]
pub struct Claims {
    links: Mutex<HashMap<String, Vec<Connection>>>,
    /// What the look before found different.
    before: Mutex<Differences>,
}

/// How presence differs from the links that are here.
#[derive(Debug, Default, Clone)]
pub(super) struct Differences {
    /// Links without a row.
    pub(super) missing: HashMap<String, Connection>,
    /// Rows without a link.
    pub(super) left: HashMap<String, Connection>,
}

impl Differences {
    /// What is in both.
    fn and(mut self, other: &Self) -> Self {
        self.missing.retain(|device, link| other.missing.get(device) == Some(link));
        self.left.retain(|device, link| other.left.get(device) == Some(link));
        self
    }
}

impl Claims {
    /// A link is about to claim its device.
    pub fn add(&self, device: &str, link: Connection) {
        lock(&self.links).entry(device.to_owned()).or_default().push(link);
    }

    /// It did not get it, or has ended.
    pub fn remove(&self, device: &str, link: Connection) {
        let mut links = lock(&self.links);
        if let Some(of_device) = links.get_mut(device) {
            of_device.retain(|one| *one != link);
            if of_device.is_empty() {
                links.remove(device);
            }
        }
    }

    /// How many devices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.links).len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn has(&self, device: &str, link: Connection) -> bool {
        lock(&self.links).get(device).is_some_and(|links| links.contains(&link))
    }

    /// What differs from these rows, and did at the look before.
    pub(super) fn differ(&self, rows: &HashMap<String, Connection>) -> Differences {
        let mut now = Differences::default();
        {
            let links = lock(&self.links);
            for (device, of_device) in links.iter() {
                let there = rows.get(device);
                if let Some(latest) = of_device.last()
                    && !there.is_some_and(|there| of_device.contains(there))
                {
                    now.missing.insert(device.clone(), *latest);
                }
            }
            let is_left = |(device, row): &(&String, &Connection)| {
                !links.get(*device).is_some_and(|of_device| of_device.contains(row))
            };
            let left = rows.iter().filter(is_left);
            now.left = left.map(|(device, row)| (device.clone(), *row)).collect();
        }
        let before = std::mem::replace(&mut *lock(&self.before), now.clone());
        now.and(&before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn link(boot: u8, number: i64) -> Connection {
        Connection { boot: [boot; 16], number }
    }

    fn rows(all: &[(&str, Connection)]) -> HashMap<String, Connection> {
        all.iter().map(|(device, link)| ((*device).to_owned(), *link)).collect()
    }

    #[track_caller]
    fn differs(claims: &Claims, there: &[(&str, Connection)], missing: &[&str], left: &[&str]) {
        let found = claims.differ(&rows(there));
        let names = |of: HashMap<String, Connection>| {
            let mut names: Vec<String> = of.into_keys().collect();
            names.sort();
            names
        };
        assert_eq!(
            (names(found.missing), names(found.left)),
            (
                missing.iter().map(|&one| one.to_owned()).collect(),
                left.iter().map(|&one| one.to_owned()).collect(),
            )
        );
    }

    #[test]
    fn a_difference_is_one_when_two_looks_find_it() {
        let claims = Claims::default();
        claims.add("mi-1", link(1, 1));
        claims.add("mi-2", link(2, 7));
        let there = [("mi-2", link(2, 7)), ("mi-3", link(3, 1))];
        differs(&claims, &there, &[], &[]);
        differs(&claims, &there, &["mi-1"], &["mi-3"]);
        // Another link of the device came between: it may be on its way.
        claims.remove("mi-1", link(1, 1));
        claims.add("mi-1", link(1, 2));
        differs(&claims, &there, &[], &["mi-3"]);
        let there = [("mi-1", link(1, 2)), ("mi-2", link(2, 7))];
        differs(&claims, &there, &[], &[]);
        differs(&claims, &there, &[], &[]);
    }

    #[test]
    fn a_link_that_did_not_get_the_device_leaves_the_one_that_has_it() {
        let claims = Claims::default();
        claims.add("mi-1", link(1, 1));
        claims.add("mi-1", link(1, 2));
        let there = [("mi-1", link(1, 1))];
        differs(&claims, &there, &[], &[]);
        claims.remove("mi-1", link(1, 2));
        differs(&claims, &there, &[], &[]);
        claims.remove("mi-1", link(1, 1));
        assert!(claims.is_empty());
        differs(&claims, &there, &[], &[]);
        differs(&claims, &there, &[], &["mi-1"]);
    }
}
