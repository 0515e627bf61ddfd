//! Any bytes as what the two ends of a copy say, and any paths: see the body.
#![no_main]

#[path = "../bodies/copy.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, String, String)| body::run(input));
