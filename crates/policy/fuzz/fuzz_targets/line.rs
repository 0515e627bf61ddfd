//! Any bytes as a line of a batch: a word or an error, the same word twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towline_policy::batch::evaluate_line;

fuzz_target!(|data: &str| assert_eq!(evaluate_line(data), evaluate_line(data)));
