//! The command log's ring: the newest records in a fixed number of places, each with its number.
//!
//! # Invariants
//! - Numbers have no holes: the record that follows dropped ones is a gap which names them.
//! - At most [`PLACES`] records and [`BYTES`] bytes of arguments and paths.

use std::collections::VecDeque;

use super::record::{Gap, Record};

/// Records. 4096 executions and ends are some minutes of a busy script.
pub const PLACES: usize = 4096;
/// Bytes of arguments and paths in all records together: 256 KiB, 64 for each place.
pub const BYTES: usize = 256 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Ring {
    records: VecDeque<(u64, Record)>,
    bytes: usize,
    next: u64,
    /// First number that was dropped since the last record was taken.
    dropped: Option<u64>,
    lost: u64,
}

impl Default for Ring {
    fn default() -> Self {
        Self { records: VecDeque::with_capacity(PLACES), bytes: 0, next: 0, dropped: None, lost: 0 }
    }
}

fn weight(record: &Record) -> usize {
    match record {
        Record::Exec { arguments, directory, .. } => arguments.len() + directory.len(),
        Record::Exit { .. } | Record::Gap(_) => 0,
    }
}

impl Ring {
    /// Adds a record; the oldest leave when there is no room. Its number.
    pub fn push(&mut self, record: Record) -> u64 {
        let weight = weight(&record);
        while self.records.len() >= PLACES || (self.bytes + weight > BYTES && !self.records.is_empty()) {
            self.drop_oldest();
        }
        let number = self.next;
        self.next += 1;
        self.bytes += weight;
        self.records.push_back((number, record));
        number
    }

    /// The oldest record with its number; before it, the gap that precedes it.
    pub fn pop(&mut self) -> Option<(u64, Record)> {
        if let Some(from) = self.dropped.take() {
            let to = self.records.front().map_or(self.next, |(number, _)| *number);
            return Some((from, Record::Gap(Gap::Ring { from, to })));
        }
        let (number, record) = self.records.pop_front()?;
        self.bytes -= weight(&record);
        Some((number, record))
    }

    /// Records that were dropped since the start.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn drop_oldest(&mut self) {
        if let Some((number, record)) = self.records.pop_front() {
            self.bytes -= weight(&record);
            self.dropped.get_or_insert(number);
            self.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(pid: u32) -> Record {
        Record::Exit { session: 1, pid, status: 0, lasted: None }
    }

    fn exec(bytes: usize) -> Record {
        let (arguments, directory) = (vec![b'x'; bytes], Vec::new());
        Record::Exec { session: 1, pid: 1, parent: 0, uid: None, arguments, cut: false, directory }
    }

    #[test]
    fn records_come_out_in_order_with_their_numbers() {
        let mut ring = Ring::default();
        assert_eq!([0, 1, 2].map(|pid| ring.push(exit(pid))), [0, 1, 2]);
        assert_eq!(ring.pop(), Some((0, exit(0))));
        assert_eq!(ring.pop(), Some((1, exit(1))));
        ring.push(exit(3));
        assert_eq!(ring.pop(), Some((2, exit(2))));
        assert_eq!(ring.pop(), Some((3, exit(3))));
        assert_eq!(ring.pop(), None);
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_names_the_range() {
        let mut ring = Ring::default();
        for pid in 0..PLACES as u32 + 5 {
            ring.push(exit(pid));
        }
        assert_eq!(ring.pop(), Some((0, Record::Gap(Gap::Ring { from: 0, to: 5 }))));
        assert_eq!(ring.pop(), Some((5, exit(5))));
        assert_eq!(ring.lost(), 5);
    }

    #[test]
    fn long_arguments_cost_places_of_others_and_no_more_memory() {
        let mut ring = Ring::default();
        for _ in 0..2 * BYTES / 1024 {
            ring.push(exec(1024));
        }
        assert!(ring.bytes <= BYTES);
        assert_eq!(ring.pop(), Some((0, Record::Gap(Gap::Ring { from: 0, to: 256 }))));
    }
}
