//! Values of any kinds as a hand-over: what was written is read, and of what was cut anywhere the
//! last value is an error.
//!
//! Run by the fuzzer (`fuzz_targets/form_round.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::time::Instant;
use towline_agent::handover::exchange::memory;
use towline_agent::handover::form::{Reader, Writer};

/// Values and where the file is cut.
pub(crate) type Input = (Vec<(u8, u64, Vec<u8>)>, u16);

/// One run.
pub(crate) fn run(input: Input) {
    let (values, cut) = input;
    let Ok(file) = memory() else { return };
    let Ok(mut file) = written(file, &values) else { return };
    let mut kept = Vec::new();
    let whole = read(&file, &mut kept, &values).and_then(|mut from| from.end());
    assert!(whole.is_ok(), "{whole:?}");
    let Ok(length) = file.stream_position() else { return };
    if length == 0 {
        return;
    }
    if file.set_len(u64::from(cut) % length).is_err() || file.rewind().is_err() {
        return;
    }
    assert!(read(&file, &mut kept, &values).is_err(), "cut, and read all the same");
}

fn written(file: File, values: &[(u8, u64, Vec<u8>)]) -> io::Result<File> {
    let mut to = Writer::new(file, Instant::now());
    for (kind, number, bytes) in values {
        match kind % 6 {
            0 => to.number(*number)?,
            1 => to.count(bytes.len())?,
            2 => to.flag(number % 2 == 0)?,
            3 => to.bytes(bytes)?,
            4 => to.text(&String::from_utf8_lossy(bytes))?,
            _ => to.option(Some(*number).filter(|number| number % 3 > 0), Writer::number)?,
        }
    }
    let (mut file, descriptors) = to.finish()?;
    assert!(descriptors.is_empty());
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

fn read<'a>(
    file: &'a File,
    kept: &'a mut Vec<std::os::fd::OwnedFd>,
    values: &[(u8, u64, Vec<u8>)],
) -> io::Result<Reader<'a>> {
    let mut from = Reader::new(file, kept);
    for (kind, number, bytes) in values {
        match kind % 6 {
            0 => assert_eq!(from.number()?, *number),
            1 => assert_eq!(from.count()? as usize, bytes.len()),
            2 => assert_eq!(from.flag()?, number % 2 == 0),
            3 => assert_eq!(from.bytes()?, *bytes),
            4 => assert_eq!(from.text()?, String::from_utf8_lossy(bytes)),
            _ => {
                let wanted = Some(*number).filter(|number| number % 3 > 0);
                assert_eq!(from.option(Reader::number)?, wanted);
            }
        }
    }
    Ok(from)
}
