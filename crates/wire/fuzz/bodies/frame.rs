//! Any bytes, in any cuts, through the frame reader: frames or an error, never a panic, never more
//! than one frame held.
//!
//! Run by the fuzzer (`fuzz_targets/frame.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_wire::frame::FrameReader;

/// One run.
pub(crate) fn run(input: (Vec<u8>, Vec<u8>)) {
    let (bytes, cuts) = input;
    let mut reader = FrameReader::new();
    let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
    while !rest.is_empty() {
        let spare = reader.spare();
        let bite = usize::from(*cuts.next().unwrap_or(&255)) + 1;
        let n = spare.len().min(rest.len()).min(bite);
        spare[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        reader.filled(n);
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
