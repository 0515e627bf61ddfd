//! Any bytes as a line of a batch: see the body.
#![no_main]

#[path = "../bodies/line.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &str| body::run(data));
