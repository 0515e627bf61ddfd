//! Any names as parts of keys: see the body.
#![no_main]

#[path = "../bodies/layout.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (String, String, String, u32)| body::run(input));
