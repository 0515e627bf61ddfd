//! The spool: records that wait for the gateway longer than memory should hold them, in a few
//! checksummed files.
//!
//! Data flow: [`Ring`](super::ring::Ring) -> [`Spool::append`], one block at a time, without a
//! link -> [`Spool::parcel`] on the next link, also after a restart of the agent ->
//! [`Spool::confirmed`].
//!
//! # Form
//! Files `<running number>-<boot>.log` in `audit/` of the state directory. A file is a sequence
//! of blocks: 4 bytes length of the records, 8 bytes number of the first, 8 bytes number after
//! the last (all little-endian), 8 bytes of a SHA-256 over boot, these and the records, the
//! records.
//!
//! # Invariants
//! - A block is valid when its digest matches. After a power failure the rest behind the last
//!   valid block is not read: the gateway misses those numbers and reports them.
//! - All files together have at most the cap. The oldest file is dropped first, and
//!   [`Spool::append`] returns what it held.
//! - A file is removed when all its records are confirmed. Nothing is written while the gateway
//!   stores records at once.
//! - A failing disk costs the spool, never a session: errors are values, and the ring works
//!   alone.

use crate::limits;
use crate::logger;
use ring::digest::{Context, SHA256};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use towline_wire::epoch::BootNonce;
use towline_wire::record::{BATCH, Batch, IN_FLIGHT};

/// Bytes before the records of a block.
const HEAD: usize = 4 + 8 + 8 + 8;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    running: u64,
    boot: BootNonce,
    bytes: u64,
    /// Numbers of its records: the first, and the one behind the last. Equal when it holds none.
    first: u64,
    next: u64,
    /// How far it was read for this link.
    read: u64,
}

/// What had to go: numbers `from` up to `to` of a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Which start of the agent.
    pub boot: BootNonce,
    /// The first number.
    pub from: u64,
    /// The one behind the last.
    pub to: u64,
}

/// The records on the disk.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    cap: u64,
    segments: VecDeque<Segment>,
    /// What was sent on this link and is not confirmed: boot, the number behind it, bytes.
    flying: VecDeque<(BootNonce, u64, usize)>,
}

impl Spool {
    /// What is there in `dir`, which need not exist: nothing is written. `cap`: bytes of all files.
    #[must_use]
    pub fn open(dir: &Path, cap: u64) -> Self {
        let found = files_in(dir);
        let mut spool =
            Self { dir: dir.to_owned(), cap, segments: VecDeque::new(), flying: VecDeque::new() };
        for mut segment in found {
            match survey(dir, &mut segment) {
                Ok(()) if segment.next > segment.first => spool.segments.push_back(segment),
                Ok(()) => spool.remove(&segment),
                Err(error) => {
                    logger::warning!("cannot read a file of the spool, it stays: {error}")
                }
            }
        }
        spool
    }

    /// Bytes in all files.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Whether nothing is spooled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Adds records of this boot, and has them on the disk. What had to go for them is told.
    ///
    /// # Errors
    /// The disk's; nothing was added then.
    pub fn append(
        &mut self,
        boot: &BootNonce,
        first: u64,
        next: u64,
        records: &[u8],
    ) -> io::Result<Vec<Gone>> {
        fs::create_dir_all(&self.dir)?;
        let size = (HEAD + records.len()) as u64;
        let fits = |last: &Segment| {
            last.boot == *boot
                && last.next == first
                && last.bytes + size <= self.cap / limits::SPOOL_FILES
        };
        let continued = self.segments.back().is_some_and(fits);
        let mut segment = match self.segments.back().filter(|_| continued) {
            Some(last) => last.clone(),
            None => Segment {
                running: self.segments.back().map_or(0, |last| last.running + 1),
                boot: *boot,
                bytes: 0,
                first,
                next: first,
                read: 0,
            },
        };
        let path = self.path(&segment);
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let written =
            file.write_all(&block(boot, first, next, records)).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Half a block would hide all that comes behind it.
            let _ = file.set_len(segment.bytes);
            if segment.bytes == 0 {
                let _ = fs::remove_file(&path);
            }
            return Err(error);
        }
        segment.bytes += size;
        segment.next = next;
        if continued {
            self.segments.pop_back();
        } else {
            File::open(&self.dir)?.sync_all()?;
        }
        self.segments.push_back(segment);
        Ok(self.shrink())
    }

    /// Removes the oldest files until the cap holds. The newest stays.
    fn shrink(&mut self) -> Vec<Gone> {
        let mut gone = Vec::new();
        while self.len() > self.cap && self.segments.len() > 1 {
            let Some(oldest) = self.segments.pop_front() else { break };
            self.remove(&oldest);
            gone.push(Gone { boot: oldest.boot, from: oldest.first, to: oldest.next });
        }
        gone
    }

    /// The next records for the link; none when all were sent, or enough was sent and not
    /// confirmed.
    pub fn parcel(&mut self) -> Option<Batch> {
        if self.in_flight() > IN_FLIGHT {
            return None;
        }
        let at = self.segments.iter().position(|segment| segment.read < segment.bytes)?;
        let segment = self.segments[at].clone();
        match read_block(&self.path(&segment), &segment.boot, segment.read) {
            Ok(Some((first, next, records))) => {
                self.segments[at].read += (HEAD + records.len()) as u64;
                self.flying.push_back((segment.boot, next, records.len()));
                Some(Batch { boot: segment.boot, first, next, records })
            }
            found => {
                if let Err(error) = found {
                    logger::warning!("cannot read the spool: {error}");
                }
                // the numbers will be missed where they are counted
                self.segments[at].read = segment.bytes;
                self.parcel()
            }
        }
    }

    /// Whether [`Self::parcel`] would give something.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.in_flight() <= IN_FLIGHT && self.is_unsent()
    }

    /// Whether something was not sent on this link.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.segments.iter().any(|segment| segment.read < segment.bytes)
    }

    /// Bytes of records that were sent on this link and are not confirmed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flying.iter().map(|(_, _, bytes)| bytes).sum()
    }

    /// All of this boot before `next` is stored at the gateway.
    pub fn confirmed(&mut self, boot: &BootNonce, next: u64) {
        self.flying.retain(|(of, behind, _)| of != boot || *behind > next);
        let done = |segment: &Segment| segment.boot == *boot && segment.next <= next;
        let (gone, stay) =
            std::mem::take(&mut self.segments).into_iter().partition::<VecDeque<_>, _>(done);
        self.segments = stay;
        gone.iter().for_each(|segment| self.remove(segment));
    }

    /// The link is gone: what is not confirmed will be sent again.
    pub fn link_lost(&mut self) {
        self.flying.clear();
        for segment in &mut self.segments {
            segment.read = 0;
        }
    }

    fn path(&self, segment: &Segment) -> PathBuf {
        path_of(&self.dir, segment)
    }

    fn remove(&self, segment: &Segment) {
        if let Err(error) = fs::remove_file(self.path(segment)) {
            logger::warning!("cannot remove a file of the spool: {error}");
        }
    }
}

/// Everything that is spooled in `dir`, oldest first, for a reader on the device. Nothing
/// is changed.
///
/// # Errors
/// A file cannot be read.
pub fn read_all(dir: &Path, mut each: impl FnMut(Batch)) -> io::Result<()> {
    for mut segment in files_in(dir) {
        let (path, boot) = (path_of(dir, &segment), segment.boot);
        while let Some((first, next, records)) = read_block(&path, &boot, segment.bytes)? {
            segment.bytes += (HEAD + records.len()) as u64;
            each(Batch { boot, first, next, records });
        }
    }
    Ok(())
}

/// Our files, in order.
fn files_in(dir: &Path) -> Vec<Segment> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let ours = entries.filter_map(|entry| parse_name(entry.ok()?.file_name().to_str()?));
    let mut found: Vec<Segment> = ours.take(limits::SPOOL_FILES_READ).collect();
    found.sort_by_key(|segment| segment.running);
    found
}

/// Numbers and length of a file, as far as its blocks hold.
fn survey(dir: &Path, segment: &mut Segment) -> io::Result<()> {
    let path = path_of(dir, segment);
    let mut range = None;
    while let Some((first, next, records)) = read_block(&path, &segment.boot, segment.bytes)? {
        segment.bytes += (HEAD + records.len()) as u64;
        range = Some((range.map_or(first, |(first, _)| first), next));
    }
    (segment.first, segment.next) = range.unwrap_or_default();
    Ok(())
}

fn path_of(dir: &Path, segment: &Segment) -> PathBuf {
    let boot: String = segment.boot.iter().map(|byte| format!("{byte:02x}")).collect();
    dir.join(format!("{:010}-{boot}.log", segment.running))
}

fn parse_name(name: &str) -> Option<Segment> {
    let (running, boot) = name.strip_suffix(".log")?.split_once('-')?;
    let mut nonce = [0; 16];
    for (at, byte) in nonce.iter_mut().enumerate() {
        *byte = u8::from_str_radix(boot.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (boot.len() == 32).then_some(())?;
    let running = running.parse().ok()?;
    Some(Segment { running, boot: nonce, bytes: 0, first: 0, next: 0, read: 0 })
}

fn digest(boot: &BootNonce, head: &[u8], records: &[u8]) -> [u8; 8] {
    let mut context = Context::new(&SHA256);
    [boot.as_slice(), head, records].iter().for_each(|part| context.update(part));
    let mut short = [0; 8];
    short.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    short
}

fn block(boot: &BootNonce, first: u64, next: u64, records: &[u8]) -> Vec<u8> {
    let length = u32::try_from(records.len()).unwrap_or(u32::MAX);
    let mut block = Vec::with_capacity(HEAD + records.len());
    block.extend(length.to_le_bytes());
    block.extend(first.to_le_bytes());
    block.extend(next.to_le_bytes());
    block.extend(digest(boot, &block, records));
    block.extend(records);
    block
}

/// The block at this place: numbers and records; none where there is no whole one.
fn read_block(path: &Path, boot: &BootNonce, at: u64) -> io::Result<Option<(u64, u64, Vec<u8>)>> {
    use std::io::Seek as _;
    let mut file = File::open(path)?;
    file.seek(io::SeekFrom::Start(at))?;
    let mut head = Vec::new();
    (&mut file).take(HEAD as u64).read_to_end(&mut head)?;
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        Some(head.get(range)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (Some(length), Some(first), Some(next)) = (number(0..4), number(4..12), number(12..20))
    else {
        return Ok(None);
    };
    let Some(told) = head.get(20..HEAD).filter(|_| length <= BATCH as u64 && first < next) else {
        return Ok(None);
    };
    let mut records = Vec::new();
    file.take(length).read_to_end(&mut records)?;
    let holds = records.len() as u64 == length && digest(boot, &head[..20], &records) == told;
    Ok(holds.then_some((first, next, records)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: BootNonce = [1; 16];
    const NEXT_BOOT: BootNonce = [2; 16];

    /// What a link would be sent: boot, first, next.
    fn sent(spool: &mut Spool) -> Vec<(u8, u64, u64)> {
        std::iter::from_fn(|| spool.parcel())
            .map(|batch| (batch.boot[0], batch.first, batch.next))
            .collect()
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn what_was_spooled_is_sent_by_the_next_start_and_goes_when_it_is_confirmed() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20);
        assert!(spool.append(&BOOT, 0, 3, b"abc").unwrap().is_empty());
        assert!(spool.append(&BOOT, 3, 4, b"d").unwrap().is_empty());
        let mut again = Spool::open(dir.path(), 1 << 20);
        again.append(&NEXT_BOOT, 0, 2, b"ef").unwrap();
        assert_eq!(sent(&mut again), [(1, 0, 3), (1, 3, 4), (2, 0, 2)]);
        assert!(!again.has_more());
        again.link_lost();
        again.confirmed(&BOOT, 4);
        assert_eq!(sent(&mut again), [(2, 0, 2)]);
        again.confirmed(&NEXT_BOOT, 2);
        assert!(again.is_empty() && files(dir.path()).is_empty());
    }

    #[test]
    fn a_full_spool_drops_its_oldest_file_and_says_what_was_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 16 * 1024);
        let mut gone = Vec::new();
        for first in 0..40 {
            gone.extend(spool.append(&BOOT, first, first + 1, &[b'x'; 900]).unwrap());
            assert!(spool.len() <= 16 * 1024);
        }
        assert_eq!(gone[0], Gone { boot: BOOT, from: 0, to: 1 });
        let kept = sent(&mut spool);
        assert_eq!(gone.last().unwrap().to, kept[0].1, "no number is in neither");
        assert_eq!(kept.last().unwrap().2, 40);
    }

    #[test]
    fn a_power_cut_at_any_byte_costs_at_most_the_block_that_was_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20);
        spool.append(&BOOT, 0, 3, b"first block").unwrap();
        let whole = spool.len();
        spool.append(&BOOT, 3, 5, b"second block").unwrap();
        let file = files(dir.path()).remove(0);
        let bytes = fs::read(&file).unwrap();
        for cut in 0..=bytes.len() {
            let dir = tempfile::tempdir().unwrap();
            let copy = dir.path().join(file.file_name().unwrap());
            File::create(&copy).unwrap().write_all(&bytes[..cut]).unwrap();
            let mut spool = Spool::open(dir.path(), 1 << 20);
            let expected: &[_] = match cut {
                cut if cut == bytes.len() => &[(1, 0, 3), (1, 3, 5)],
                cut if cut as u64 >= whole => &[(1, 0, 3)],
                _ => &[],
            };
            assert_eq!(sent(&mut spool), expected, "cut at {cut}");
            // What comes after goes into a file of its own, behind no torn block.
            spool.append(&NEXT_BOOT, 0, 1, b"more").unwrap();
            assert_eq!(
                sent(&mut Spool::open(dir.path(), 1 << 20)).last(),
                Some(&(2, 0, 1)),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_file_larger_than_what_may_be_sent_ahead_is_sent_as_confirmations_come() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20);
        for first in 0..20 {
            spool.append(&BOOT, first, first + 1, &[b'x'; 4000]).unwrap();
        }
        assert_eq!(files(dir.path()).len(), 2);
        let mut all = Vec::new();
        while let [.., (_, _, next)] = sent(&mut spool).as_slice() {
            assert!(spool.in_flight() <= IN_FLIGHT + BATCH);
            all.push(*next);
            spool.confirmed(&BOOT, *next);
        }
        assert_eq!(all.last(), Some(&20));
        assert!(spool.is_empty());
    }

    #[test]
    fn a_flipped_bit_anywhere_invents_no_record() {
        let dir = tempfile::tempdir().unwrap();
        Spool::open(dir.path(), 1 << 20).append(&BOOT, 0, 3, b"records").unwrap();
        let file = files(dir.path()).remove(0);
        let bytes = fs::read(&file).unwrap();
        for at in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[at / 8] ^= 1 << (at % 8);
            let dir = tempfile::tempdir().unwrap();
            File::create(dir.path().join(file.file_name().unwrap()))
                .unwrap()
                .write_all(&bent)
                .unwrap();
            assert_eq!(sent(&mut Spool::open(dir.path(), 1 << 20)), [], "bit {at}");
        }
    }

    #[test]
    fn a_disk_that_cannot_be_written_is_an_error_and_nothing_else() {
        let mut spool = Spool::open(Path::new("/proc/no/such/place"), 1 << 20);
        assert!(spool.append(&BOOT, 0, 1, b"x").is_err());
        assert!(spool.is_empty() && !spool.has_more());
    }

    #[test]
    fn files_that_are_not_ours_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("notes.log")).unwrap();
        assert!(Spool::open(dir.path(), 1 << 20).is_empty());
        assert_eq!(files(dir.path()).len(), 1);
    }
}
