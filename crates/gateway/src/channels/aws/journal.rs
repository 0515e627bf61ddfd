//! The journal of one AWS channel: a small file, written before the websocket and the device's link
//! are.
//!
//! | place in the file | content |
//! |---|---|
//! | 0, [`SLOT`] | two places for a [`Record`], written in turns: checksum, generation, length, boot of this machine, record |
//! | [`INPUT_AT`] | a ring of [`INPUT_ROOM`] bytes: input by its position |
//!
//! # Invariants
//! - A process killed in the middle of a write leaves the older record whole, and the input that it
//!   names.
//! - Nothing is synced: it is for a killed gateway, not for a power cut. A record of another boot
//!   of this machine is recognised and not used.
//! - The file never exceeds [`INPUT_AT`] + [`INPUT_ROOM`] bytes; it is readable by the gateway
//!   only.
//!
//! # What it costs
//! Measured on ext4, two cores, optimised: a round 1.5 µs with 16 messages under way and 3 µs with
//! 250, of which the encoding is less than a third. So, reckoned by messages, some 3 ms for a
//! megabyte of input (messages of 1 KiB) and a tenth of it for one of output (32 KiB). A
//! keystroke's, from a processor that was asleep, 15 to 30 µs. That is the page cache. Where the
//! disk took 50 ms for each write, the file system's own journal made a few of a thousand take 0.1
//! to 3 s: [`Journal::write`] is for somebody who may wait (decision 69).
//!
//! # Not here
//! - When a journal is written and removed, and by which task: [`super::registry`].

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::record::{MAX_RECORD, Record};

/// Bytes of one of the two places.
const SLOT: usize = 8 * 1024;
/// Where the input begins.
const INPUT_AT: u64 = 2 * SLOT as u64;
/// Bytes of the ring: what one record names, and as much again that is written before the next
/// record is.
const INPUT_ROOM: u64 =
    2 * (crate::limits::AWS_INPUT_RING + towline_ssm::message::MAX_PAYLOAD) as u64;
/// Checksum, generation, length, boot.
const HEAD: usize = 8 + 8 + 4 + BOOT;
/// Bytes of the kernel's name for a boot.
const BOOT: usize = 36;

const _: () = assert!(HEAD + MAX_RECORD <= SLOT, "any record must fit its place");

/// The journal of one channel.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    generation: u64,
    /// The latest record, so that nothing is written twice.
    last: Vec<u8>,
    /// Input below this position is in the ring, or was taken by the device.
    written: u64,
    /// Where the next place is put together.
    slot: Vec<u8>,
}

/// What is new in a record, ready to be written by somebody who may wait for the disk.
#[derive(Debug)]
pub(super) struct Change {
    record: Record,
    bytes: Vec<u8>,
    /// Input that is not in the file yet, and where it begins.
    input: Vec<u8>,
    from: u64,
}

/// What stands in a journal.
#[derive(Debug)]
pub(super) enum Found {
    /// A record of this boot, with the input that it names.
    Record(Journal, Box<Record>, Vec<u8>),
    /// Something that cannot be used. Its client cannot go on.
    Useless,
    /// Nothing.
    Nothing,
}

impl Journal {
    /// A new one, in place of what may be there: an endpoint that still writes into that one writes
    /// what nobody will find.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        // The places get their blocks now: a disk that is full later cannot keep a record from
        // being replaced.
        file.write_all_at(&[0; 2 * SLOT], 0)?;
        Ok(Self { file, generation: 0, last: Vec::new(), written: 0, slot: Vec::new() })
    }

    /// Reads the one that an earlier process of this machine's boot has left.
    pub(super) fn open(path: &Path) -> Found {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
            Err(_) => return Found::Useless,
        };
        let slots = [0, SLOT as u64].map(|at| read_slot(&file, at));
        let Some((generation, bytes)) =
            slots.into_iter().flatten().max_by_key(|(generation, _)| *generation)
        else {
            return Found::Useless;
        };
        let Some(record) = bytes.strip_prefix(&boot()[..]).and_then(Record::decode) else {
            return Found::Useless;
        };
        if record.channel.is_none() {
            return Found::Useless;
        }
        let last = record.encode();
        let journal = Self { file, generation, last, written: record.input.end, slot: Vec::new() };
        match journal.input(&record) {
            Some(input) => Found::Record(journal, Box::new(record), input),
            None => Found::Useless,
        }
    }

    /// What is to be written of a record; nothing where nothing is new. `input` gives the input
    /// from a position on.
    pub(super) fn change(
        &self,
        record: Record,
        input: impl FnOnce(u64) -> Vec<u8>,
    ) -> Option<Change> {
        let bytes = record.encode();
        if bytes == self.last {
            return None;
        }
        let from = self.written.max(record.input.start);
        let input = if from < record.input.end { input(from) } else { Vec::new() };
        Some(Change { record, bytes, input, from })
    }

    /// Writes a change down, the input before the record that names it. May wait for the disk.
    ///
    /// # Errors
    /// The system's. What is in the file then is the older record.
    pub(super) fn write(&mut self, change: &Change) -> io::Result<()> {
        if !change.input.is_empty() {
            self.write_input(change.from, &change.input)?;
            self.written = change.record.input.end;
        }
        let generation = self.generation + 1;
        self.slot.clear();
        self.slot.extend([0; 8]);
        self.slot.extend(generation.to_be_bytes());
        self.slot.extend(u32::try_from(change.bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.slot.extend(boot());
        self.slot.extend(&change.bytes);
        let sum = checksum(&self.slot[8..]);
        self.slot[..8].copy_from_slice(&sum.to_be_bytes());
        self.file.write_all_at(&self.slot, (generation % 2) * SLOT as u64)?;
        self.generation = generation;
        self.last.clone_from(&change.bytes);
        Ok(())
    }

    /// Writes down that there is no way back to what this change is of: better none than a wrong
    /// one. Its place in the file has its blocks already.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn give_up(&mut self, change: Change) -> io::Result<()> {
        let mut record = change.record;
        record.channel = None;
        record.input = record.input.end..record.input.end;
        self.change(record, |_| Vec::new()).map_or(Ok(()), |change| self.write(&change))
    }

    fn write_input(&self, mut position: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (at, n) = run(position, bytes.len());
            self.file.write_all_at(&bytes[..n], at)?;
            (position, bytes) = (position + n as u64, &bytes[n..]);
        }
        Ok(())
    }

    fn input(&self, record: &Record) -> Option<Vec<u8>> {
        let len =
            record.input.end.checked_sub(record.input.start).filter(|len| *len <= INPUT_ROOM)?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        let (mut position, mut rest) = (record.input.start, &mut bytes[..]);
        while !rest.is_empty() {
            let (at, n) = run(position, rest.len());
            let (now, later) = rest.split_at_mut(n);
            self.file.read_exact_at(now, at).ok()?;
            (position, rest) = (position + n as u64, later);
        }
        Some(bytes)
    }
}

/// Where in the file a position is, and how many of `len` bytes lie there in one run.
fn run(position: u64, len: usize) -> (u64, usize) {
    let at = position % INPUT_ROOM;
    let left = usize::try_from(INPUT_ROOM - at).unwrap_or(usize::MAX);
    (INPUT_AT + at, len.min(left))
}

/// Generation, and boot with record.
fn read_slot(file: &File, at: u64) -> Option<(u64, Vec<u8>)> {
    let mut slot = vec![0; SLOT];
    file.read_exact_at(&mut slot, at).ok()?;
    let sum = u64::from_be_bytes(slot[..8].try_into().ok()?);
    let generation = u64::from_be_bytes(slot[8..16].try_into().ok()?);
    let len = usize::try_from(u32::from_be_bytes(slot[16..20].try_into().ok()?)).ok()?;
    let end = HEAD.checked_add(len).filter(|end| *end <= SLOT)?;
    (checksum(&slot[8..end]) == sum).then(|| (generation, slot[20..end].to_vec()))
}

/// FNV-1a, 64 bits: tells a torn write, and is no protection against malice, which has the store as
/// well.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The kernel's name for this boot; zeros where there is none, so that a record is then taken as of
/// this one.
fn boot() -> [u8; BOOT] {
    static BOOT_ID: std::sync::OnceLock<[u8; BOOT]> = std::sync::OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.get(..BOOT).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; BOOT])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use towline_ssm::channel::{ChannelState, Reached};

    fn record(input: std::ops::Range<u64>) -> Record {
        Record {
            client_id: "c".into(),
            attached: true,
            separate_output: false,
            prefixes: Default::default(),
            line_begins: towline_wire::lane::Lanes::new(true, true),
            size: None,
            output: towline_wire::lane::Lanes::new(input.start * 3, 0),
            input,
            channel: Some(ChannelState {
                reached: Reached::Open,
                sized: true,
                ready: true,
                ahead: false,
                base: 0,
                taken: 0,
                cuts: Vec::new(),
            }),
        }
    }

    /// The file with this content, as a killed process could have left it.
    fn put(path: &Path, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }

    /// The byte at a position of some input.
    fn bytes(range: std::ops::Range<u64>) -> Vec<u8> {
        range.map(|position| (position % 251) as u8).collect()
    }

    fn save(journal: &mut Journal, range: std::ops::Range<u64>) {
        let change = journal.change(record(range.clone()), |from| bytes(from..range.end)).unwrap();
        journal.write(&change).unwrap();
        assert!(journal.change(record(range), |_| panic!("nothing is new")).is_none());
    }

    #[track_caller]
    fn expect(path: &Path, range: std::ops::Range<u64>) -> Journal {
        match Journal::open(path) {
            Found::Record(journal, found, input) => {
                assert_eq!((*found, input), (record(range.clone()), bytes(range)));
                journal
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_latest_record_is_found_with_its_input_also_around_the_end_of_the_ring() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        assert!(matches!(Journal::open(&path), Found::Nothing));
        let mut journal = Journal::create(&path).unwrap();
        assert!(matches!(Journal::open(&path), Found::Useless), "nothing was written yet");
        for at in 0..40 {
            let start = at * 20_000;
            save(&mut journal, start..start + 70_000);
            expect(&path, start..start + 70_000);
        }
        let mut again = expect(&path, 780_000..850_000);
        save(&mut again, 800_000..860_000);
        expect(&path, 800_000..860_000);
        assert!(std::fs::metadata(&path).unwrap().len() <= INPUT_AT + INPUT_ROOM);
    }

    #[test]
    fn an_end_that_another_client_s_took_the_place_of_writes_what_nobody_finds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let mut older = Journal::create(&path).unwrap();
        for end in 1..5 {
            save(&mut older, 0..end);
        }
        save(&mut Journal::create(&path).unwrap(), 0..7);
        save(&mut older, 0..6);
        expect(&path, 0..7);
    }

    #[test]
    fn a_write_that_was_cut_off_leaves_the_record_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let mut journal = Journal::create(&path).unwrap();
        save(&mut journal, 0..10);
        save(&mut journal, 5..20);
        let whole = std::fs::read(&path).unwrap();
        let latest = (journal.generation % 2) as usize * SLOT;
        for cut in 0..HEAD + 40 {
            let mut torn = whole.clone();
            torn[latest + cut] ^= 0x55;
            put(&path, &torn);
            expect(&path, 0..10);
        }
        put(&path, &whole);
        expect(&path, 5..20);
        let change = journal.change(record(20..20), |_| Vec::new()).unwrap();
        journal.give_up(change).unwrap();
        assert!(matches!(Journal::open(&path), Found::Useless), "it was given up");
        put(&path, b"short");
        assert!(matches!(Journal::open(&path), Found::Useless));
    }
}
