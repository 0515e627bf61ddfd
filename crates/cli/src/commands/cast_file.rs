//! Recordings as files: compressed or not, line by line, within bounds.
//!
//! # Invariants
//! - A line is never longer in memory than the format allows; a file may be as large as it likes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use towline_evidence::cast::{Event, Header, MAX_LINE};
use towline_evidence::layout::part_of;
use towline_ssm::ids::SessionId;

use crate::exit::Failure;
use crate::limits::FILE_READ;

/// The lines of a recording.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
}

impl Lines {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = File::open(path)
            .map_err(|why| Failure::Local { what: format!("cannot read {name}"), why })?;
        Self::of(file, name)
    }

    /// Of bytes from anywhere; packed if they begin like gzip.
    pub(super) fn of(bytes: impl Read + 'static, name: String) -> Result<Self, Failure> {
        let mut plain = BufReader::with_capacity(FILE_READ, bytes);
        let start = plain
            .fill_buf()
            .map_err(|why| Failure::Local { what: format!("cannot read {name}"), why })?;
        let reader: Box<dyn BufRead> = if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::with_capacity(FILE_READ, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Self { reader, name })
    }

    /// The next line, without newline; none at the end, also at a torn one.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        match read {
            // A truncated gzip file ends here; verify finds what is missing.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
                ) =>
            {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(why) => Err(Failure::Local { what: format!("cannot read {}", self.name), why }),
            Ok(0) => Ok(None),
            Ok(_) if line.len() > MAX_LINE => Err(Failure::BadDocument(format!(
                "{}: not a recording: a line is too long",
                self.name
            ))),
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Ok(Some(line))
            }
        }
    }
}

/// Whether a recording is named by a path: of a file or a pipe. Else it is a session's id.
///
/// # Errors
/// [`Failure::Usage`] when it is neither.
pub(super) fn is_file(recording: &str) -> Result<bool, Failure> {
    let path = Path::new(recording);
    if path.is_dir() {
        let told = format!("{recording} is a directory: name a recording in it (.cast, .cast.gz)");
        return Err(Failure::Usage(told));
    }
    // A path that cannot be looked at is opened, which says why.
    if path.try_exists().unwrap_or(true) {
        return Ok(true);
    }
    match part_of(recording).0.parse::<SessionId>() {
        Ok(_) => Ok(false),
        Err(_) => Err(Failure::Usage(format!(
            "{recording} is not there, and is no session id: name a recording (.cast, .cast.gz) or \
             a session of `towline logs`"
        ))),
    }
}

/// Reads the first line: what is recorded.
pub(super) fn header(lines: &mut Lines) -> Result<Header, Failure> {
    let first = lines.next()?.unwrap_or_default();
    Header::parse(&first).map_err(|error| Failure::BadDocument(error.to_string()))
}

/// When an event was, seconds since the start.
#[allow(clippy::cast_precision_loss)] // 2^53 microseconds are 285 years
pub(super) fn seconds(event: &Event) -> f64 {
    event.at as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_a_file_a_pipe_or_a_session_and_else_the_words_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.cast");
        std::io::Write::write_all(&mut File::create(&file).unwrap(), b"{}").unwrap();
        let is = |path: &Path| is_file(&path.to_string_lossy());
        assert!(is(&file).unwrap());
        assert!(!is_file("ann-0123456789abcdefg").unwrap());
        assert!(!is_file("ann-0123456789abcdefg.2").unwrap(), "a part of one");
        for (path, words) in [(dir.path(), "is a directory"), (&file.join("b"), "Not a directory")]
        {
            let told = is(path).map(|_| Lines::open(path).err());
            let told = told.unwrap_or_else(Some).unwrap().to_string();
            assert!(told.contains(words), "{told}");
        }
        let told = is(&dir.path().join("gone/b.cast")).unwrap_err();
        assert!(matches!(&told, Failure::Usage(words) if words.contains("is not there")), "{told}");
    }

    #[test]
    fn what_is_no_regular_file_is_read_as_a_file() {
        assert!(is_file("/dev/null").unwrap());
    }
}
