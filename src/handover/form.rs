//! The form of a state transfer: how sessions are written for a successor and read again.
//!
//! Numbers are little-endian and of fixed size; bytes and texts follow their length, the items
//! of a list their count. `state_transfer.rs` of a folder writes and reads the things of that
//! folder.
//!
//! # Invariants
//! - [`FORM`] changes whenever the written bytes change. A program that does not know a form
//!   reports it before the exec (see [`super::preflight`]), so no reader guesses.
//! - Input is not trusted: a length beyond its bound, an impossible number, a descriptor that
//!   was not left open are errors, and the old program then takes everything back.

use crate::limits;
use crate::sys::calls;
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// The form that this program writes and reads. See the invariants for when to count it up.
pub const FORM: u16 = 2;

fn wrong(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("cannot read the state of the predecessor: {what}"),
    )
}

/// An error for a value that contradicts others.
pub(crate) fn contradiction(what: &str) -> io::Error {
    wrong(what)
}

/// Writes a hand-over, and remembers which descriptors belong to it.
#[derive(Debug)]
pub struct Writer<'a> {
    out: BufWriter<File>,
    descriptors: Vec<BorrowedFd<'a>>,
    now: Instant,
}

impl<'a> Writer<'a> {
    /// Into this file, from its beginning.
    #[must_use]
    pub fn new(file: File, now: Instant) -> Self {
        Self { out: BufWriter::new(file), descriptors: Vec::new(), now }
    }

    /// The file, complete, and the descriptors that go with it.
    ///
    /// # Errors
    /// No memory for the file.
    pub fn finish(self) -> io::Result<(File, Vec<BorrowedFd<'a>>)> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((file, self.descriptors))
    }

    /// A number.
    ///
    /// # Errors
    /// No memory for the file; so for all others.
    pub fn number(&mut self, number: u64) -> io::Result<()> {
        self.out.write_all(&number.to_le_bytes())
    }

    /// How many items follow.
    pub fn count(&mut self, items: usize) -> io::Result<()> {
        let fits = u32::try_from(items).ok().filter(|items| *items <= limits::TRANSFER_ITEMS);
        self.number(fits.ok_or_else(|| wrong("too many items"))?.into())
    }

    /// Yes or no.
    pub fn flag(&mut self, flag: bool) -> io::Result<()> {
        self.number(flag.into())
    }

    /// A process.
    pub fn pid(&mut self, pid: Pid) -> io::Result<()> {
        self.number(pid.as_raw().unsigned_abs().into())
    }

    /// Bytes, in however many runs: `length` of them.
    pub fn runs<'b>(
        &mut self,
        length: u64,
        runs: impl Iterator<Item = &'b [u8]>,
    ) -> io::Result<()> {
        self.number(length)?;
        for run in runs {
            self.out.write_all(run)?;
        }
        Ok(())
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.runs(bytes.len() as u64, [bytes].into_iter())
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Something that may be missing.
    pub fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> io::Result<()>,
    ) -> io::Result<()> {
        self.flag(value.is_some())?;
        value.map_or(Ok(()), |value| write(self, value))
    }

    /// A time to come, as the time until then: the successor's clock may count from elsewhere.
    pub fn instant(&mut self, at: Instant) -> io::Result<()> {
        let wait = at.saturating_duration_since(self.now).as_millis();
        self.number(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// A descriptor that is passed.
    pub fn descriptor(&mut self, fd: BorrowedFd<'a>) -> io::Result<()> {
        self.descriptors.push(fd);
        self.number(fd.as_raw_fd().unsigned_abs().into())
    }
}

/// Reads a hand-over, and takes its descriptors.
#[derive(Debug)]
pub struct Reader<'a> {
    input: BufReader<&'a File>,
    kept: &'a mut Vec<OwnedFd>,
    now: Instant,
}

impl<'a> Reader<'a> {
    /// From where the file stands. Descriptors that are taken over go into `kept` as well.
    pub fn new(file: &'a File, kept: &'a mut Vec<OwnedFd>) -> Self {
        Self { input: BufReader::new(file), kept, now: Instant::now() }
    }

    /// A number.
    ///
    /// # Errors
    /// The end of the file, or a value that cannot be; so for all others.
    pub fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.input.read_exact(&mut bytes).map_err(|_| wrong("it ends too early"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A number that fits into a smaller type.
    pub fn small<T: TryFrom<u64>>(&mut self) -> io::Result<T> {
        let number = self.number()?;
        T::try_from(number).map_err(|_| wrong(&format!("{number} is too large")))
    }

    /// How many items follow.
    pub fn count(&mut self) -> io::Result<u32> {
        let items = self.small()?;
        if items > limits::TRANSFER_ITEMS {
            return Err(wrong(&format!("a list of {items} items")));
        }
        Ok(items)
    }

    /// Yes or no.
    pub fn flag(&mut self) -> io::Result<bool> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(wrong(&format!("{other} is not a flag"))),
        }
    }

    /// A process.
    pub fn pid(&mut self) -> io::Result<Pid> {
        let raw = self.small::<i32>()?;
        if raw < 2 {
            return Err(wrong(&format!("{raw} is not a process id")));
        }
        Ok(Pid::from_raw(raw))
    }

    /// Bytes.
    pub fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length: usize = self.small()?;
        if length > limits::TRANSFER_BYTES {
            return Err(wrong(&format!("{length} bytes in one item")));
        }
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(|_| wrong("it ends too early"))?;
        Ok(bytes)
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.bytes()?.try_into().map_err(|_| wrong("bytes of the wrong length"))
    }

    /// A text.
    pub fn text(&mut self) -> io::Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| wrong("a text that is not UTF-8"))
    }

    /// Something that may be missing.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// A time to come.
    pub fn instant(&mut self) -> io::Result<Instant> {
        let wait = Duration::from_millis(self.number()?);
        self.now.checked_add(wait).ok_or_else(|| wrong("a time out of range"))
    }

    /// A descriptor: a copy to work with. The one that was left stays open until it is certain that
    /// the successor resumes.
    pub fn descriptor(&mut self) -> io::Result<OwnedFd> {
        let left = calls::inherit(self.small::<RawFd>()?)?;
        let copy = left.as_fd().try_clone_to_owned();
        self.kept.push(left);
        copy
    }

    /// Makes sure that there is nothing more: else writer and reader do not mean the same form.
    pub fn end(&mut self) -> io::Result<()> {
        match self.input.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(wrong("bytes follow its end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, SeekFrom};

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> File {
        let mut writer = Writer::new(tempfile::tempfile().unwrap(), Instant::now());
        write(&mut writer);
        let (mut file, _) = writer.finish().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }

    #[test]
    fn what_was_written_is_read() {
        let file = written(|to| {
            to.number(u64::MAX).unwrap();
            to.option(Some("a text"), Writer::text).unwrap();
            to.option(None, Writer::text).unwrap();
            to.runs(5, [&b"by"[..], &b"tes"[..]].into_iter()).unwrap();
            to.pid(Pid::this()).unwrap();
        });
        let mut kept = Vec::new();
        let mut from = Reader::new(&file, &mut kept);
        assert_eq!(from.number().unwrap(), u64::MAX);
        assert_eq!(from.option(Reader::text).unwrap().as_deref(), Some("a text"));
        assert_eq!(from.option(Reader::text).unwrap(), None);
        assert_eq!(from.array::<5>().unwrap(), *b"bytes");
        assert_eq!(from.pid().unwrap(), Pid::this());
        from.end().unwrap();
    }

    /// The first number is `number`; reading must fail with `text`.
    #[track_caller]
    fn refused<T: std::fmt::Debug>(
        number: u64,
        read: impl FnOnce(&mut Reader<'_>) -> io::Result<T>,
        text: &str,
    ) {
        let file = written(|to| to.number(number).unwrap());
        let mut kept = Vec::new();
        let error = read(&mut Reader::new(&file, &mut kept)).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }

    #[test]
    fn input_is_not_trusted() {
        refused(2, |from| from.flag(), "not a flag");
        refused(u64::MAX, |from| from.bytes(), "in one item");
        refused(7, |from| from.bytes(), "ends too early");
        refused(u64::MAX, |from| from.count(), "too large");
        refused(5000, |from| from.count(), "5000 items");
        refused(1, |from| from.pid(), "not a process id");
        refused(70_000, |from| from.small::<u16>(), "too large");
        refused(7, |from| from.end(), "bytes follow its end");
    }

    #[test]
    fn a_descriptor_that_was_not_left_for_us_is_not_taken() {
        let own = tempfile::tempfile().unwrap(); // closed at an exec, so nobody left it
        refused(own.as_raw_fd().unsigned_abs().into(), |from| from.descriptor(), "was not left");
        refused(1, |from| from.descriptor(), "was not left");
        refused(1_000_000, |from| from.descriptor(), "was not left");
    }
}
