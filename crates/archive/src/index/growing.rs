//! Indexes of recordings that have none to keep: of sessions that go on, and of recordings that
//! were made before there were indexes.
//!
//! Data flow: a caller asks -> a thread draws the blocks that were not drawn yet -> screens in a
//! file without a name, the table in memory -> the caller asks again, and reads both by ranges.
//!
//! # Invariants
//! - At most [`GROWING_AT_ONCE`] threads draw, behind all others. At most [`GROWING_KEPT`] indexes
//!   are kept, each for [`GROWING_FOR`] after somebody asked for it.
//! - A screen stands where it will stand in the index that is kept: a caller who holds a table of
//!   this one reads the right screens of that one.
//! - A block that is being written is left for the next time.
//!
//! # Not here
//! - The index that is kept, and that the node's chain names: `maker`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flate2::bufread::GzDecoder;
use tokio::runtime::Handle;
use towline_evidence::cast::MAX_LINE;
use towline_host::files;

use super::builder::{Drawn, NoIndex, packed};
use super::table::{HEAD, Table, head};
use crate::archive::Archive;
use crate::limits::{
    GROWING_AT_ONCE, GROWING_EVERY, GROWING_FOR, GROWING_KEPT, GROWING_MEMBER, INDEX_NICENESS,
    INDEX_TIME,
};
use crate::recorded;

/// Where tables stand, beyond all screens: each at a place of its own, so that a caller who holds
/// an old head reads nothing in place of a part of another table.
const TABLES: u64 = 1 << 40;
/// Bytes between two tables.
const TABLE_ROOM: u64 = 1 << 28;
/// Tables until a place is used again.
const PLACES: u64 = 4096;

/// What there is of an index.
#[derive(Debug)]
pub enum Grown {
    /// It is being made: bytes of the recording that were drawn.
    Drawing(u64),
    /// It can be read, as far as it has come.
    Readable(Arc<Shown>),
    /// The recording cannot be drawn.
    Never,
}

/// An index as it was when its table was made.
#[derive(Debug)]
pub struct Shown {
    file: Arc<File>,
    head: [u8; HEAD],
    /// Where the screens end.
    screens: u64,
    table: Vec<u8>,
    place: u64,
    /// Bytes of the recording that it covers.
    pub recorded: u64,
}

impl Shown {
    /// Where the last byte stands.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.place.saturating_add(self.table.len() as u64)
    }

    /// Up to `most` bytes from `offset` on: of the head and the screens, or of the table.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let cut = |bytes: &[u8], from: u64| {
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len() - from);
            bytes.get(from..from + most).unwrap_or_default().to_vec()
        };
        if offset >= self.place {
            return Ok(cut(&self.table, offset - self.place));
        }
        if offset < HEAD as u64 {
            return Ok(cut(&self.head, offset));
        }
        let wanted = self.screens.saturating_sub(offset).min(most);
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// Indexes that grow.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    all: Mutex<HashMap<String, Arc<One>>>,
}

#[derive(Debug)]
struct One {
    asked: Mutex<Instant>,
    state: Mutex<State>,
    /// Bytes of the recording that were drawn.
    drawn: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// None while a thread has it.
    work: Option<Box<Work>>,
    shown: Option<Arc<Shown>>,
    ended: Option<Instant>,
    is_hopeless: bool,
}

/// What goes on from one drawing to the next.
struct Work {
    drawn: Option<Drawn>,
    file: Arc<File>,
    /// Where the next block begins.
    offset: u64,
    tables: u64,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// Why nothing can be told of an index.
#[derive(Debug, thiserror::Error)]
pub enum CannotGrow {
    /// Too many are drawn.
    #[error("{GROWING_AT_ONCE} recordings are indexed at the moment: try again")]
    Busy,
    /// It cannot be opened.
    #[error("cannot open the recording: {0}")]
    Io(#[from] io::Error),
}

impl Archive {
    /// The index of a recording of `size` bytes that has none to keep. Begins to draw what was not
    /// drawn yet. Waits for disk and network: call it from a thread that may wait.
    ///
    /// # Errors
    /// [`CannotGrow`].
    pub fn growing_index(
        &self,
        session: &str,
        size: u64,
        runtime: &Handle,
    ) -> Result<Grown, CannotGrow> {
        let mut all = lock(&self.growing.all);
        all.retain(|_, one| one.is_drawing() || lock(&one.asked).elapsed() < GROWING_FOR);
        let one = match all.get(session) {
            Some(one) => Arc::clone(one),
            None => {
                make_room(&mut all)?;
                let one = Arc::new(One::new(self.unnamed(session)?));
                all.insert(session.to_owned(), Arc::clone(&one));
                one
            }
        };
        *lock(&one.asked) = Instant::now();
        let at_once = all.values().filter(|one| one.is_drawing()).count();
        drop(all);
        let mut state = lock(&one.state);
        if state.is_hopeless {
            return Ok(Grown::Never);
        }
        let drawn = one.drawn.load(Ordering::Relaxed);
        let rested = state.ended.is_none_or(|ended| ended.elapsed() >= GROWING_EVERY);
        if drawn < size && rested && state.work.is_some() {
            if at_once < GROWING_AT_ONCE {
                self.draw(session, &one, &mut state, drawn, runtime)?;
            } else if state.shown.is_none() {
                return Err(CannotGrow::Busy);
            }
        }
        let shown = state.shown.as_ref().map(Arc::clone);
        Ok(shown.map_or(Grown::Drawing(drawn), Grown::Readable))
    }

    /// Draws on a thread of its own.
    fn draw(
        &self,
        session: &str,
        one: &Arc<One>,
        state: &mut State,
        from: u64,
        runtime: &Handle,
    ) -> io::Result<()> {
        if let Some(why) = self.recorder.paused() {
            return Err(io::Error::other(why));
        }
        let opened = recorded::open(&self.recorder, &self.sink, runtime, session, from)?;
        let Some((recording, _)) = opened else { return Ok(()) };
        let Some(mut work) = state.work.take() else { return Ok(()) };
        let (one, name) = (Arc::clone(one), session.to_owned());
        let thread = std::thread::Builder::new().name("towline-index".to_owned());
        let begun = thread.spawn(move || {
            // On Linux a nice value belongs to the thread.
            let _ = rustix::process::nice(INDEX_NICENESS);
            // The terminal is a library's, and draws what strangers wrote.
            let drawn = std::panic::catch_unwind(AssertUnwindSafe(|| {
                work.go_on(&name, recording, &one.drawn).map(|shown| (work, shown))
            }));
            let drawn = drawn.unwrap_or_else(|_| Err(io::Error::other("it panicked").into()));
            let mut state = lock(&one.state);
            state.ended = Some(Instant::now());
            match drawn {
                Ok((work, shown)) => (state.work, state.shown) = (Some(work), Some(shown)),
                Err(error) => {
                    tracing::warn!(
                        session = name, %error,
                        "a recording cannot be drawn for an index"
                    );
                    state.is_hopeless = true;
                }
            }
        });
        if begun.is_err() {
            state.is_hopeless = true; // its work is gone with the thread
        }
        begun.map(drop)
    }

    /// A file that nobody else opens, and that is gone with the last who has it open.
    fn unnamed(&self, session: &str) -> io::Result<File> {
        let folder = self.recorder.home().join("growing");
        files::private_dir(&folder).map_err(io::Error::other)?;
        unnamed(&folder.join(session))
    }
}

fn unnamed(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Lets go of the index that nobody asked for longest, if there are too many.
fn make_room(all: &mut HashMap<String, Arc<One>>) -> Result<(), CannotGrow> {
    if all.len() < GROWING_KEPT {
        return Ok(());
    }
    let idle = all.iter().filter(|(_, one)| !one.is_drawing());
    let oldest = idle.min_by_key(|(_, one)| *lock(&one.asked)).map(|(name, _)| name.clone());
    all.remove(&oldest.ok_or(CannotGrow::Busy)?);
    Ok(())
}

impl One {
    fn new(file: File) -> Self {
        let work = Work { drawn: None, file: Arc::new(file), offset: 0, tables: 0 };
        let state = State { work: Some(Box::new(work)), ..State::default() };
        Self {
            asked: Mutex::new(Instant::now()),
            state: Mutex::new(state),
            drawn: AtomicU64::new(0),
        }
    }

    fn is_drawing(&self) -> bool {
        let state = lock(&self.state);
        state.work.is_none() && !state.is_hopeless
    }
}

impl Work {
    /// Draws what `recording` has from [`Work::offset`] on, block by block.
    fn go_on(
        &mut self,
        session: &str,
        recording: impl Read,
        told: &AtomicU64,
    ) -> Result<Arc<Shown>, NoIndex> {
        let mut reader =
            BufReader::with_capacity(64 * 1024, Counted { inner: recording, count: 0 });
        let (start, began) = (self.offset, Instant::now());
        let mut block = Vec::new();
        while !reader.fill_buf()?.is_empty() {
            block.clear();
            let member = GzDecoder::new(&mut reader);
            match member.take(GROWING_MEMBER + 1).read_to_end(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error.into()),
                Ok(read) if read as u64 > GROWING_MEMBER => return Err(NoIndex::LongBlock),
                Ok(_) => {}
            }
            self.offset = start + reader.get_ref().count - reader.buffer().len() as u64;
            self.block(&block)?;
            told.store(self.offset, Ordering::Relaxed);
            if began.elapsed() > INDEX_TIME {
                return Err(NoIndex::TooLong);
            }
        }
        self.shown(session)
    }

    fn block(&mut self, block: &[u8]) -> Result<(), NoIndex> {
        // In the pieces that `build` reads: the same screens come of them.
        let lines = block.split_inclusive(|byte| *byte == b'\n');
        for line in lines.flat_map(|line| line.chunks(MAX_LINE + 1)) {
            match &mut self.drawn {
                Some(drawn) => drawn.line(line),
                None => self.drawn = Some(Drawn::begin(line)?),
            }
        }
        if let Some(drawn) = &mut self.drawn {
            let mut screens = At { file: &self.file, at: drawn.written };
            drawn.member(self.offset, &mut screens)?;
        }
        Ok(())
    }

    fn shown(&mut self, session: &str) -> Result<Arc<Shown>, NoIndex> {
        let drawn = self.drawn.as_ref().ok_or(NoIndex::NoHeader)?;
        let table: Table = drawn.table(session, self.offset, None);
        let table = packed(&serde_json::to_vec(&table).map_err(io::Error::other)?)?;
        let place = TABLES + (self.tables % PLACES) * TABLE_ROOM;
        self.tables += 1;
        let head = head(place, u32::try_from(table.len()).unwrap_or(u32::MAX));
        let file = Arc::clone(&self.file);
        Ok(Arc::new(Shown {
            file,
            head,
            screens: drawn.written,
            table,
            place,
            recorded: self.offset,
        }))
    }
}

/// Writes behind what stands in a file.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl io::Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.at)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::builder::build;
    use super::super::builder::tests::recording;
    use super::*;

    fn work(folder: &Path) -> Work {
        let file = Arc::new(unnamed(&folder.join("ann-1")).unwrap());
        Work { drawn: None, file, offset: 0, tables: 0 }
    }

    fn go_on(work: &mut Work, recording: &[u8]) -> Arc<Shown> {
        let from = usize::try_from(work.offset).unwrap();
        work.go_on("ann-1", &recording[from..], &AtomicU64::new(0)).unwrap()
    }

    /// The table of an index, read by ranges as a page reads it.
    fn table(shown: &Shown) -> Table {
        let head = shown.read(0, HEAD as u64).unwrap();
        let place = u64::from_le_bytes(head[8..16].try_into().unwrap());
        let length = u32::from_le_bytes(head[16..20].try_into().unwrap());
        let packed = shown.read(place, length.into()).unwrap();
        assert_eq!((packed.len(), shown.size()), (length as usize, place + u64::from(length)));
        serde_json::from_reader(GzDecoder::new(packed.as_slice())).unwrap()
    }

    #[test]
    fn an_index_that_grew_in_steps_is_the_one_that_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            |n: u32| format!("\x1b[3{}mline {n}\x1b[0m\r\n", n % 8).repeat(9000).into_bytes();
        let recording = recording(&(0..12).map(|n| (None, text(n))).collect::<Vec<_>>());
        let mut kept = Cursor::new(Vec::new());
        let whole = build("ann-1", &*recording, &mut kept, 0, || false).unwrap().unwrap();
        let kept = kept.into_inner();

        let mut work = work(folder.path());
        let mut ends = Vec::new();
        // Each step ends in the middle of a block: of one that is being written.
        for part in [30, 60, 90] {
            let shown = go_on(&mut work, &recording[..recording.len() * part / 100]);
            let table = table(&shown);
            assert!(table.bytes < (recording.len() * part / 100) as u64 && table.end > 0);
            assert_eq!(table.keyframes[..], whole.keyframes[..table.keyframes.len()]);
            ends.push(table.keyframes.len());
        }
        assert!(ends[0] >= 2 && ends[0] < ends[1] && ends[1] < ends[2], "{ends:?}");
        let shown = go_on(&mut work, &recording);
        assert_eq!(table(&shown), Table { sha256: None, ..whole.clone() });
        for keyframe in &whole.keyframes {
            let from = usize::try_from(keyframe.screen).unwrap();
            let to = from + usize::try_from(keyframe.length).unwrap();
            assert_eq!(shown.read(keyframe.screen, keyframe.length).unwrap(), kept[from..to]);
        }
    }

    #[test]
    fn the_table_of_an_older_head_is_not_read_in_parts_from_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(&[(None, b"hello\r\n".repeat(100))]);
        let mut work = work(folder.path());
        let (older, newer) = (go_on(&mut work, &recording), go_on(&mut work, &recording));
        assert!(newer.read(older.place, 1000).unwrap().is_empty());
        assert!(newer.read(newer.size(), 1000).unwrap().is_empty());
        assert_eq!(newer.read(0, 8).unwrap(), b"TWLINDX1");
    }

    #[test]
    fn a_block_that_unpacks_to_very_much_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let bomb = packed(&vec![b' '; usize::try_from(GROWING_MEMBER).unwrap() + 2]).unwrap();
        let drawn = work(folder.path()).go_on("ann-1", &*bomb, &AtomicU64::new(0));
        assert!(matches!(drawn, Err(NoIndex::LongBlock)), "{drawn:?}");
    }

    #[test]
    fn the_index_that_nobody_asked_for_longest_makes_room_unless_it_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = HashMap::new();
        for n in 0..GROWING_KEPT {
            let one = One::new(unnamed(&folder.path().join("x")).unwrap());
            if n == 0 {
                lock(&one.state).work = None;
            }
            all.insert(n.to_string(), Arc::new(one));
        }
        make_room(&mut all).unwrap();
        assert!(all.contains_key("0") && !all.contains_key("1") && all.len() == GROWING_KEPT - 1);
        all.insert("1".into(), Arc::new(One::new(unnamed(&folder.path().join("x")).unwrap())));
        all.values().for_each(|one| lock(&one.state).work = None);
        assert!(matches!(make_room(&mut all), Err(CannotGrow::Busy)));
    }
}
