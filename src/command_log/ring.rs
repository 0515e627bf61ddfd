//! The ring of the command log: encoded records with numbers, until the gateway has stored them.
//!
//! # Invariants
//! - At most the bytes given to [`Ring::new`], two for the length of each record included. The
//!   oldest records are dropped when there is no space.
//! - Numbers have no holes: a gap record is sent in the place of dropped records.
//! - A record leaves only when it is confirmed or dropped. An unconfirmed record is sent again
//!   on the next link.

use std::collections::VecDeque;
use towline_wire::record::{BATCH, IN_FLIGHT, Lost, Record, decode_first, encode};

/// Bytes before each record: its length.
const HEAD: usize = 2;

/// Encoded records that the gateway has not confirmed.
#[derive(Debug)]
pub struct Ring {
    bytes: VecDeque<u8>,
    most: usize,
    /// Number of the first record held, and the one behind the last.
    first: u64,
    next: u64,
    /// What was sent on this link: bytes from the front, and the number of the first record that
    /// was not.
    sent: usize,
    sent_to: u64,
    /// Numbers from here up to `first` were dropped and are not confirmed as a gap.
    dropped: Option<Dropped>,
    lost: u64,
}

#[derive(Debug, Clone, Copy)]
struct Dropped {
    from: u64,
    to: u64,
    at: u64,
    said: bool,
}

/// Records to be sent: the number of the first, and the bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Number of the first, and the one behind the last.
    pub first: u64,
    /// See `first`.
    pub next: u64,
    /// Records, one behind the other.
    pub records: Vec<u8>,
}

impl Ring {
    /// An empty ring for so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            most,
            first: 0,
            next: 0,
            sent: 0,
            sent_to: 0,
            dropped: None,
            lost: 0,
        }
    }

    /// Adds a record; the oldest leave when there is no room. `at`: the time, for a gap. Its
    /// number.
    pub fn push(&mut self, record: &Record, at: u64) -> u64 {
        let record = encode(record);
        // records are far below, see `LARGEST`
        let length = u16::try_from(record.len()).unwrap_or(u16::MAX);
        while self.bytes.len() + HEAD + record.len() > self.most && !self.bytes.is_empty() {
            self.drop_oldest(at);
        }
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(record.iter().take(usize::from(length)));
        self.next += 1;
        self.next - 1
    }

    /// The next records to send; none when all were, or too much was sent and not confirmed.
    pub fn parcel(&mut self) -> Option<Parcel> {
        if self.sent > IN_FLIGHT {
            return None;
        }
        let mut records = Vec::new();
        let mut first = self.sent_to;
        if let Some(dropped) = self.dropped.as_mut().filter(|dropped| !dropped.said) {
            dropped.said = true;
            first = dropped.from;
            let covers = dropped.to - dropped.from;
            records = encode(&Record::Gap { at: dropped.at, covers, lost: Lost::Memory });
            if dropped.to != self.sent_to {
                // what is between was taken out, or is on its way
                return Some(Parcel { first, next: dropped.to, records });
            }
        }
        while let Some(length) = self.length_at(self.sent) {
            if records.len() + length > BATCH {
                break;
            }
            records.extend(self.bytes.range(self.sent + HEAD..self.sent + HEAD + length));
            self.sent += HEAD + length;
            self.sent_to += 1;
        }
        (!records.is_empty()).then_some(Parcel { first, next: self.sent_to, records })
    }

    /// Whether [`Self::parcel`] would give something.
    #[must_use]
    pub fn has_more(&self) -> bool {
        let gap = self.dropped.is_some_and(|dropped| !dropped.said);
        self.sent <= IN_FLIGHT && (gap || self.sent < self.bytes.len())
    }

    /// All before this number is stored at the gateway.
    pub fn confirmed(&mut self, next: u64) {
        if self.dropped.is_some_and(|dropped| dropped.said && next >= dropped.to) {
            self.dropped = None;
        }
        while self.first < next.min(self.next) && self.pop() {}
        if self.bytes.is_empty() {
            self.bytes = VecDeque::new();
        }
    }

    /// The link is gone: what is not confirmed will be sent again.
    pub fn link_lost(&mut self) {
        self.sent = 0;
        self.sent_to = self.first;
        if let Some(dropped) = &mut self.dropped {
            dropped.said = false;
        }
    }

    /// Takes the oldest records out, not more than `most` bytes of them: the caller is then
    /// responsible for them.
    pub fn take(&mut self, most: usize) -> Option<Parcel> {
        let (first, mut records) = (self.first, Vec::new());
        while let Some(length) = self.length_at(0) {
            if records.len() + length > most {
                break;
            }
            records.extend(self.bytes.range(HEAD..HEAD + length));
            self.pop();
        }
        (!records.is_empty()).then_some(Parcel { first, next: self.first, records })
    }

    /// Puts records back that were taken out last and could not be kept elsewhere.
    pub fn put_back(&mut self, parcel: &Parcel) {
        let mut rest = parcel.records.as_slice();
        let mut bytes = Vec::with_capacity(rest.len() + HEAD * 64);
        while let Some((_, more)) = decode_first(rest).filter(|_| !rest.is_empty()) {
            let record = &rest[..rest.len() - more.len()];
            bytes.extend(u16::try_from(record.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(record);
            rest = more;
        }
        for byte in bytes.into_iter().rev() {
            self.bytes.push_front(byte);
        }
        self.first = parcel.first;
        (self.sent, self.sent_to) = (0, parcel.first);
    }

    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no record is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Records that were dropped since the start.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn length_at(&self, at: usize) -> Option<usize> {
        let (low, high) = (self.bytes.get(at)?, self.bytes.get(at + 1)?);
        Some(usize::from(u16::from_le_bytes([*low, *high])))
    }

    /// Removes the oldest record.
    fn pop(&mut self) -> bool {
        let Some(length) = self.length_at(0) else { return false };
        self.bytes.drain(..HEAD + length);
        self.first += 1;
        self.sent = self.sent.saturating_sub(HEAD + length);
        self.sent_to = self.sent_to.max(self.first);
        true
    }

    fn drop_oldest(&mut self, at: u64) {
        let from = self.first;
        if self.pop() {
            let dropped = self.dropped.get_or_insert(Dropped { from, to: from, at, said: false });
            (dropped.to, dropped.said) = (self.first, false);
            self.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(at: u64) -> Record {
        Record::Stopped { at }
    }

    fn ring(records: u64, most: usize) -> Ring {
        let mut ring = Ring::new(most);
        for at in 0..records {
            assert_eq!(ring.push(&stopped(at), 99), at);
        }
        ring
    }

    fn read(parcel: &Parcel) -> Vec<Record> {
        let (mut rest, mut records) = (parcel.records.as_slice(), Vec::new());
        while let Some((record, more)) = decode_first(rest) {
            records.push(record);
            rest = more;
        }
        assert!(rest.is_empty());
        records
    }

    #[test]
    fn records_go_out_in_order_and_stay_until_they_are_confirmed() {
        let mut ring = ring(3, 1000);
        let parcel = ring.parcel().unwrap();
        assert_eq!((parcel.first, read(&parcel)), (0, vec![stopped(0), stopped(1), stopped(2)]));
        assert_eq!(ring.parcel(), None);
        ring.push(&stopped(3), 0);
        assert_eq!(ring.parcel().unwrap().first, 3);
        ring.confirmed(2);
        ring.link_lost();
        let parcel = ring.parcel().unwrap();
        assert_eq!((parcel.first, read(&parcel)), (2, vec![stopped(2), stopped(3)]));
        ring.confirmed(4);
        assert!(ring.is_empty());
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_says_so_in_their_place() {
        let mut ring = ring(10, 4 * 6);
        let parcel = ring.parcel().unwrap();
        assert_eq!(parcel.first, 0);
        let gap = Record::Gap { at: 99, covers: 4, lost: Lost::Memory };
        assert_eq!(read(&parcel), [vec![gap], (4..10).map(stopped).collect()].concat());
        assert_eq!(ring.lost(), 4);
        ring.confirmed(10);
        ring.push(&stopped(10), 0);
        assert_eq!(read(&ring.parcel().unwrap()), [stopped(10)]);
    }

    #[test]
    fn what_is_dropped_while_it_is_on_its_way_is_covered_too() {
        let mut ring = ring(6, 4 * 6);
        assert_eq!(ring.parcel().unwrap().first, 0);
        ring.push(&stopped(6), 99);
        let (gap, newest) = (ring.parcel().unwrap(), ring.parcel().unwrap());
        assert_eq!((gap.first, gap.next, newest.first, newest.next), (0, 1, 6, 7));
        ring.confirmed(7);
        assert!(ring.is_empty() && !ring.has_more());
    }

    #[test]
    fn no_more_is_on_its_way_than_the_wire_allows() {
        let mut ring = Ring::new(1 << 20);
        let line = Record::Line { session: "a".into(), at: 0, text: "x".repeat(1000) };
        for _ in 0..100 {
            ring.push(&line, 0);
        }
        let mut sent = 0;
        while let Some(parcel) = ring.parcel() {
            assert!(parcel.records.len() <= BATCH);
            sent += parcel.records.len();
        }
        assert!((IN_FLIGHT..=IN_FLIGHT + BATCH).contains(&sent), "{sent}");
        ring.confirmed(1);
        assert!(!ring.has_more() || ring.parcel().is_some());
    }

    #[test]
    fn what_was_taken_out_can_be_put_back() {
        let mut ring = ring(5, 1000);
        let taken = ring.take(4).unwrap();
        assert_eq!((taken.first, taken.next), (0, 2));
        ring.put_back(&taken);
        let parcel = ring.parcel().unwrap();
        assert_eq!((parcel.first, read(&parcel)), (0, (0..5).map(stopped).collect()));
    }

    #[test]
    fn a_confirmation_of_what_never_was_harms_nothing() {
        let mut ring = ring(2, 1000);
        ring.confirmed(u64::MAX);
        assert_eq!(ring.push(&stopped(0), 0), 2);
    }
}
