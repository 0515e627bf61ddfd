//! Any bytes as what a predecessor left, read as any kinds of values: values within their bounds or
//! an error. The second input says what is read.
//!
//! Run by the fuzzer (`fuzz_targets/form.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`). Descriptors are left out: taking one over closes it in the end, and it
//! would be one of the fuzzer's own.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use towline_agent::handover::exchange::memory;
use towline_agent::handover::form::Reader;

/// One run.
pub(crate) fn run(input: (Vec<u8>, Vec<u8>)) {
    let (bytes, kinds) = input;
    let Ok(file) = left(&bytes) else { return };
    let mut kept = Vec::new();
    let mut from = Reader::new(&file, &mut kept);
    for kind in kinds {
        if read(&mut from, kind, bytes.len()).is_err() {
            return;
        }
    }
    let _ = from.end();
}

fn left(bytes: &[u8]) -> io::Result<File> {
    let mut file = memory()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

fn read(from: &mut Reader<'_>, kind: u8, length: usize) -> io::Result<()> {
    match kind % 9 {
        0 => drop(from.number()?),
        1 => drop(from.small::<u16>()?),
        2 => assert!(from.count()? <= 1024),
        3 => drop(from.flag()?),
        4 => assert!(from.pid()?.as_raw() > 1),
        5 => assert!(from.bytes()?.len() <= length),
        6 => drop(from.array::<16>()?),
        7 => assert!(from.text()?.len() <= length),
        _ => drop(from.option(|from| from.instant())?),
    }
    Ok(())
}
