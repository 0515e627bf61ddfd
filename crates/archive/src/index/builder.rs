//! One index from one recording.
//!
//! Data flow: members of the recording -> lines -> a terminal (`avt`) -> at the end of a member,
//! when one is due: a keyframe -> at the end of the recording: the table.
//!
//! # Invariants
//! - Memory is a line, the screen and the table, whatever the recording's length.
//! - The screens together are no longer than the lines: a recording cannot make an index that is
//!   larger than itself, unpacked.
//! - What a recording says is only drawn, on a terminal of bounded size.

use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom, Write};
use std::time::Instant;

use avt::parser::Function;
use avt::{Parser, Terminal};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use towline_evidence::cast::{Code, Event, Header, MAX_LINE};
use towline_evidence::digest::{Digest, Running};
use towline_evidence::seal::Seal;
use towline_evidence::text::split;

use super::table::{HEAD, Keyframe, Marker, Table, head};
use crate::limits::{
    GROWING_MEMBER, INDEX_COLS, INDEX_MARKER, INDEX_ROWS, INDEX_TIME, KEYFRAME_BYTES,
    KEYFRAME_LEAST, KEYFRAME_TIME, MAX_INDEX_MARKERS, MAX_KEYFRAME, MAX_KEYFRAMES,
};

/// Why a recording gets no index.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoIndex {
    /// It cannot be read.
    #[error("cannot read the recording or write its index: {0}")]
    Io(#[from] io::Error),
    /// It does not begin with a header.
    #[error("the recording does not begin with its header")]
    NoHeader,
    /// One block unpacks to more than an index that grows may hold.
    #[error("a block has more than {} MiB", GROWING_MEMBER >> 20)]
    LongBlock,
    /// Somebody made it to take long.
    #[error("it took more than {} minutes", INDEX_TIME.as_secs() / 60)]
    TooLong,
    /// The gateway stops.
    #[error("the gateway stops")]
    Stopped,
}

/// Reads a recording and writes its index. Returns the table; nothing is kept of a recording with
/// fewer than `least` bytes of lines (`None`). `stopped` is asked at each block.
pub(super) fn build(
    session: &str,
    recording: impl Read,
    mut index: impl Write + Seek,
    least: u64,
    stopped: impl Fn() -> bool,
) -> Result<Option<Table>, NoIndex> {
    index.write_all(&head(0, 0))?;
    let mut reader = BufReader::with_capacity(64 * 1024, Counted::new(recording));
    let mut drawn: Option<Drawn> = None;
    let (began, mut line) = (Instant::now(), Vec::new());
    loop {
        if reader.fill_buf()?.is_empty() {
            break;
        }
        let mut member = BufReader::new(GzDecoder::new(&mut reader));
        loop {
            line.clear();
            if (&mut member).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            match &mut drawn {
                Some(drawn) => drawn.line(&line),
                None => drawn = Some(Drawn::begin(&line)?),
            }
        }
        drop(member);
        let offset = reader.get_ref().count - reader.buffer().len() as u64;
        if let Some(drawn) = &mut drawn {
            drawn.member(offset, &mut index)?;
        }
        if began.elapsed() > INDEX_TIME {
            return Err(NoIndex::TooLong);
        }
        if stopped() {
            return Err(NoIndex::Stopped);
        }
    }
    let Some(drawn) = drawn.filter(|drawn| drawn.bytes >= least) else { return Ok(None) };
    let Counted { count, digest, .. } = reader.into_inner();
    let table = drawn.table(session, count, Some(digest.finish()));
    let packed = packed(&serde_json::to_vec(&table).map_err(io::Error::other)?)?;
    index.write_all(&packed)?;
    index.seek(SeekFrom::Start(0))?;
    index.write_all(&head(drawn.written, u32::try_from(packed.len()).unwrap_or(u32::MAX)))?;
    index.flush()?;
    Ok(Some(table))
}

/// Ends an unfinished control sequence without effect.
const CANCEL: char = '\u{18}';

/// What was drawn so far.
pub(super) struct Drawn {
    terminal: Terminal,
    /// Reads the same output ahead of the terminal.
    parser: Parser,
    /// Time of the last event.
    at: u64,
    position: u64,
    lines: u64,
    bytes: u64,
    /// Bytes of lines, and time, at the last keyframe.
    last: (u64, u64),
    resized: bool,
    /// Length of the last screen.
    screen: u64,
    /// Bytes of the index before the table.
    pub(super) written: u64,
    keyframes: Vec<Keyframe>,
    markers: Vec<Marker>,
    left_out: u64,
}

impl Drawn {
    pub(super) fn begin(line: &[u8]) -> Result<Self, NoIndex> {
        let header = Header::parse(line).map_err(|_| NoIndex::NoHeader)?;
        let (cols, rows) = bounded(header.width.into(), header.height.into());
        let terminal = Terminal::new(cols, rows).map_err(|_| NoIndex::NoHeader)?;
        let start = Keyframe {
            at: 0,
            position: 0,
            line: 0,
            offset: 0,
            cols,
            rows,
            screen: HEAD as u64,
            length: 0,
        };
        Ok(Self {
            terminal,
            parser: Parser::new(),
            at: 0,
            position: 0,
            lines: 1,
            bytes: line.len() as u64,
            last: (0, 0),
            resized: false,
            screen: 0,
            written: HEAD as u64,
            keyframes: vec![start],
            markers: Vec::new(),
            left_out: 0,
        })
    }

    /// The table of the first `bytes` bytes of the recording.
    pub(super) fn table(&self, session: &str, bytes: u64, sha256: Option<Digest>) -> Table {
        Table {
            session: session.to_owned(),
            bytes,
            sha256,
            lines: self.lines,
            end: self.at,
            keyframes: self.keyframes.clone(),
            markers: self.markers.clone(),
            markers_left_out: self.left_out,
        }
    }

    pub(super) fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        self.bytes += line.len() as u64;
        let Ok(event) = Event::parse(line) else { return };
        self.at = self.at.max(event.at);
        match event.code {
            Code::Output => self.draw(&event.text),
            Code::Resize => {
                let (cols, rows) = size(&event.text);
                self.resized |= self.terminal.size() != (cols, rows);
                self.terminal.resize(cols, rows);
            }
            Code::Marker if self.markers.len() < MAX_INDEX_MARKERS => {
                let text = split(&event.text, INDEX_MARKER).0.to_owned();
                self.markers.push(Marker { at: self.at, text });
            }
            Code::Marker => self.left_out += 1,
            Code::Seal => {
                if let Some(seal) = Seal::parse(&event.text) {
                    self.position = seal.positions[0];
                }
            }
            Code::Input | Code::Other => {}
        }
    }

    /// Draws output. A character is repeated (REP) for one row at the most: eight bytes of a
    /// recording do not ask for 65,535 cells.
    fn draw(&mut self, text: &str) {
        let most = u16::try_from(self.terminal.size().0).unwrap_or(u16::MAX);
        for c in text.chars() {
            match self.parser.feed(c) {
                Some(Function::Rep(times)) if times > most => {
                    self.terminal.feed(CANCEL);
                    self.terminal.execute(Function::Rep(most));
                }
                _ => self.terminal.feed(c),
            }
        }
    }

    /// A member ended; the next one begins at `offset`.
    pub(super) fn member(&mut self, offset: u64, index: &mut impl Write) -> io::Result<()> {
        let since = self.bytes - self.last.0;
        let early = self.resized || self.at - self.last.1 >= KEYFRAME_TIME;
        let least = if early { KEYFRAME_LEAST } else { KEYFRAME_BYTES };
        if since < least.max(self.screen) || self.keyframes.len() >= MAX_KEYFRAMES {
            return Ok(());
        }
        let screen = self.terminal.dump();
        (self.last, self.resized, self.screen) =
            ((self.bytes, self.at), false, screen.len() as u64);
        if screen.len() > MAX_KEYFRAME {
            return Ok(());
        }
        let packed = packed(screen.as_bytes())?;
        index.write_all(&packed)?;
        let (cols, rows) = self.terminal.size();
        self.keyframes.push(Keyframe {
            at: self.at,
            position: self.position,
            line: self.lines,
            offset,
            cols,
            rows,
            screen: self.written,
            length: packed.len() as u64,
        });
        self.written += packed.len() as u64;
        Ok(())
    }
}

/// A size that is drawn, whatever the recording says; the console's player has the same rule.
fn bounded(cols: usize, rows: usize) -> (usize, usize) {
    let within = |n: usize, most, none| if n == 0 { none } else { n.min(most) };
    (within(cols, INDEX_COLS, 80), within(rows, INDEX_ROWS, 24))
}

fn size(text: &str) -> (usize, usize) {
    let (cols, rows) = text.split_once('x').unwrap_or_default();
    bounded(cols.parse().unwrap_or(0), rows.parse().unwrap_or(0))
}

pub(super) fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Counts and digests what is read.
struct Counted<R> {
    inner: R,
    count: u64,
    digest: Running,
}

impl<R> Counted<R> {
    fn new(inner: R) -> Self {
        Self { inner, count: 0, digest: Running::new() }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(buffer.get(..read).unwrap_or_default());
        self.count += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use towline_evidence::recording::{Lane, Recording};

    use super::*;

    /// A new size, if there is one, and output behind it.
    pub(in super::super) type Shown = (Option<(u16, u16)>, Vec<u8>);

    /// A recording of these pieces of output, one member each, a second apart; a size before some.
    pub(in super::super) fn recording(pieces: &[Shown]) -> Vec<u8> {
        let header = Header {
            version: 2,
            width: 80,
            height: 24,
            timestamp: 1,
            title: String::new(),
            env: Default::default(),
            towline: None,
        };
        let mut recording = Recording::start("ann-1", &header);
        let (mut bytes, mut position) = (packed(&recording.take(0)).unwrap(), 0);
        for (n, (size, piece)) in pieces.iter().enumerate() {
            let at = n as u64 * 1_000_000;
            if let Some((cols, rows)) = size {
                recording.resize(at, *cols, *rows);
            }
            recording.output(at, Lane::Io, position, piece, "");
            position += piece.len() as u64;
            bytes.extend(packed(&recording.take(at)).unwrap());
        }
        recording.end(pieces.len() as u64 * 1_000_000, "over");
        bytes.extend(packed(&recording.take(0)).unwrap());
        bytes
    }

    fn index(recording: &[u8], least: u64) -> Option<(Table, Vec<u8>)> {
        let mut out = Cursor::new(Vec::new());
        let table = build("ann-1", recording, &mut out, least, || false).unwrap()?;
        let bytes = out.into_inner();
        let at = usize::try_from(u64::from_le_bytes(bytes[8..16].try_into().unwrap())).unwrap();
        let read: Table =
            serde_json::from_str(&unpacked(&bytes[at..])).expect("the table is at the end");
        assert_eq!((&bytes[..8], &read), (&b"TWLINDX1"[..], &table));
        Some((table, bytes))
    }

    fn unpacked(bytes: &[u8]) -> String {
        let mut text = String::new();
        GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    /// What a terminal shows that draws from a keyframe up to `to` and, in the second place, one
    /// that draws everything up to there.
    fn screens(recording: &[u8], index: &[u8], from: &Keyframe, to: u64) -> [String; 2] {
        let span = |from: u64, length: u64| {
            let from = usize::try_from(from).unwrap();
            from..from + usize::try_from(length).unwrap()
        };
        let drawn = |start: u64, screen: Option<(usize, usize, String)>| {
            let mut terminal = Terminal::new(80, 24).unwrap();
            if let Some((cols, rows, screen)) = screen {
                terminal.resize(cols, rows);
                terminal.feed(screen.as_str());
            }
            let mut lines = String::new();
            let bytes = &recording[usize::try_from(start).unwrap()..usize::try_from(to).unwrap()];
            flate2::bufread::MultiGzDecoder::new(bytes).read_to_string(&mut lines).unwrap();
            for line in lines.lines() {
                match Event::parse(line.as_bytes()) {
                    Ok(Event { code: Code::Output, text, .. }) => terminal.feed(text.as_str()),
                    Ok(Event { code: Code::Resize, text, .. }) => {
                        let (cols, rows) = size(&text);
                        terminal.resize(cols, rows);
                    }
                    _ => {}
                }
            }
            let screen = terminal.screen();
            let rows = (0..terminal.size().1).filter_map(|row| screen.line(row));
            let lines = rows.map(|line| line.text().trim_end().to_owned());
            lines.collect::<Vec<_>>().join("\n")
        };
        let screen = unpacked(&index[span(from.screen, from.length)]);
        [drawn(from.offset, Some((from.cols, from.rows, screen))), drawn(0, None)]
    }

    #[test]
    fn a_player_that_begins_at_a_keyframe_shows_the_screen_of_one_that_began_at_the_start() {
        let text = |n: u32| {
            let line = format!("\x1b[3{}mline {n} of a long output\x1b[0m\r\n", n % 8);
            line.repeat(5000).into_bytes()
        };
        let mut pieces: Vec<_> = (0..20).map(|n| (None, text(n))).collect();
        pieces[7].0 = Some((40, 10));
        pieces[12].1.extend(b"\x1b[?1049h\x1b[2;3Hinside an editor");
        pieces[13].1 = b"\x1b[5;1Hstill there".repeat(9000);
        pieces[16].1 = b"\x1b[?1049lback".to_vec();
        let recording = recording(&pieces);
        let (table, bytes) = index(&recording, 0).unwrap();
        assert!(table.keyframes.len() > 8, "{} keyframes", table.keyframes.len());
        assert_eq!(table.bytes, recording.len() as u64);
        for (n, from) in table.keyframes.iter().enumerate().skip(1) {
            let to = table.keyframes.get(n + 1).map_or(table.bytes, |next| next.offset);
            let [by_index, whole] = screens(&recording, &bytes, from, to);
            assert_eq!(by_index, whole, "from keyframe {n}");
            assert!(from.at >= table.keyframes[n - 1].at && from.line > 0);
        }
        let sized: Vec<_> = table.keyframes.iter().filter(|one| one.cols == 40).collect();
        assert!(!sized.is_empty() && sized[0].rows == 10);
    }

    #[test]
    fn a_short_recording_gets_no_index_and_the_same_recording_the_same_index() {
        let recording = recording(&[(None, b"hello\r\n".repeat(100))]);
        assert!(index(&recording, 1 << 20).is_none());
        assert_eq!(index(&recording, 0).unwrap().1, index(&recording, 0).unwrap().1);
    }

    #[test]
    fn a_hostile_recording_gets_an_index_that_is_bounded() {
        let sizes = [(0, 0), (65_535, 65_535), (1, 1), (500, 200)];
        let nasty = [
            &b"\x1b]52;c;eA==\x07\x1b]8;;javascript:x\x1b\\y\xff\xfe\xc3\x28"[..],
            b"\x1b[65535b\x1b[65535;65535H\x1b[65535L\x1b[65535X",
            "\u{4e2d}\u{1f468}\u{200d}\u{1f469}e\u{301}\x1b[1;31m".as_bytes(),
            b"\x1b[?1049h\x1bc\x1b[5;2r\x1b#8\x1b(0qqq\x1b[?69h",
        ];
        let pieces: Vec<_> = (0..120)
            .map(|n| (Some(sizes[n % 4]), nasty[n % 4].repeat(40 + 400 * (n / 100))))
            .collect();
        let recording = recording(&pieces);
        let (table, bytes) = index(&recording, 0).unwrap();
        assert!(table.keyframes.iter().all(|one| (1..=500).contains(&one.cols)));
        assert!(table.keyframes.iter().all(|one| (1..=200).contains(&one.rows)));
        assert!(bytes.len() < 4 << 20, "{} bytes", bytes.len());
        for one in &table.keyframes[1..] {
            let from = usize::try_from(one.screen).unwrap();
            let screen = unpacked(&bytes[from..]);
            assert!(!screen.contains("\x1b]"), "no string for the terminal's owner");
        }
    }

    #[test]
    fn a_recording_that_is_cut_in_a_block_gets_no_index() {
        let recording = recording(&[(None, b"hello\r\n".repeat(100))]);
        let cut = &recording[..recording.len() - 3];
        let told = build("ann-1", cut, Cursor::new(Vec::new()), 0, || false);
        assert!(matches!(told, Err(NoIndex::Io(_))), "{told:?}");
    }
}
