//! Any bytes as the header of the PROXY protocol: read as a caller reads them, byte for byte as
//! wanted; the answer is the same however they arrive, and nothing behind the header is taken.
//!
//! Run by the fuzzer (`fuzz_targets/proxy_header.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_wire::proxy_header::{LONGEST, Progress, read};

/// One run.
pub(crate) fn run(data: &[u8]) {
    let mut taken = 0;
    while let Some(bytes) = data.get(..taken) {
        match read(bytes) {
            Ok(Progress::Wants(more)) => {
                assert!(more > 0 && taken + more <= LONGEST);
                taken += more;
            }
            Ok(Progress::Done(_)) => {
                assert!(taken >= 15, "a header has at least 15 bytes");
                // With one byte less it was not whole.
                assert!(matches!(read(&bytes[..taken - 1]), Ok(Progress::Wants(_))));
                return;
            }
            Err(_) => return,
        }
    }
}
