//! Reading a recording that may still be growing: its header, and its output block by block.
//!
//! # Invariants
//! - A block that is being written is not returned: it has its turn in a later round.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::GzDecoder;
use towline_evidence::cast::{Code, Event, Header, MAX_LINE};

use crate::limits::{STREAMED_MEMBER, STREAMED_ROUND};

/// The header of a recording.
pub(super) fn header(path: &Path) -> io::Result<Header> {
    header_in(BufReader::new(File::open(path)?))
}

/// The header at the beginning of a recording's bytes.
pub(crate) fn header_in(bytes: impl BufRead) -> io::Result<Header> {
    let mut first = Vec::new();
    BufReader::new(GzDecoder::new(bytes)).take(MAX_LINE as u64).read_until(b'\n', &mut first)?;
    Header::parse(first.strip_suffix(b"\n").unwrap_or(&first)).map_err(io::Error::other)
}

/// When a recording began, milliseconds since the epoch.
pub(super) fn began(path: &Path) -> io::Result<i64> {
    Ok(header(path)?.timestamp * 1000)
}

/// The output of whole blocks from `offset` on, with the times of its pieces, and the offset after
/// them.
pub(super) fn read_on(path: &Path, offset: u64) -> io::Result<(Vec<(u64, String)>, u64)> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::new(file);
    let (mut pieces, mut end) = (Vec::new(), offset);
    while end - offset < STREAMED_ROUND && !reader.fill_buf()?.is_empty() {
        let mut member = Vec::new();
        let mut decoder = GzDecoder::new(&mut reader);
        if (&mut decoder).take(STREAMED_MEMBER).read_to_end(&mut member).is_err()
            || !member.ends_with(b"\n")
        {
            break;
        }
        drop(decoder);
        for line in member.split(|byte| *byte == b'\n') {
            if let Ok(event) = Event::parse(line)
                && event.code == Code::Output
            {
                pieces.push((event.at, event.text));
            }
        }
        end = reader.get_mut().stream_position()? - reader.buffer().len() as u64;
    }
    Ok((pieces, end))
}
