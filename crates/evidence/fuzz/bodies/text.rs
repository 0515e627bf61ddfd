//! Any bytes in any cuts as the text of a terminal: the same text as in one piece, and as the
//! standard library reads it.
//!
//! Run by the fuzzer (`fuzz_targets/text.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_evidence::text::{Decoder, split};

/// One run.
pub(crate) fn run(input: (Vec<u8>, Vec<u8>)) {
    let (bytes, cuts) = input;
    let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
    let (mut decoder, mut text) = (Decoder::default(), String::new());
    while !rest.is_empty() {
        let bite = usize::from(*cuts.next().unwrap_or(&255)) + 1;
        let (piece, more) = rest.split_at(bite.min(rest.len()));
        text.push_str(&decoder.push(piece));
        rest = more;
    }
    text.push_str(&decoder.flush());
    assert_eq!(text, String::from_utf8_lossy(&bytes));
    assert_eq!(decoder.replaced() == 0, std::str::from_utf8(&bytes).is_ok());
    for limit in [0, 1, 3, 64] {
        let (front, back) = split(&text, limit);
        assert!(front.len() <= limit && front.len() + back.len() == text.len());
    }
}
