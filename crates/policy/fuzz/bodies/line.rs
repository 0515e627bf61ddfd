//! Any bytes as a line of a batch: a word or an error, the same word twice.
//!
//! Run by the fuzzer (`fuzz_targets/line.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_policy::batch::evaluate_line;

/// One run.
pub(crate) fn run(data: &str) {
    assert_eq!(evaluate_line(data), evaluate_line(data));
}
