//! Any text as a token against any key set: see the body.
#![no_main]

#[path = "../bodies/token.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (String, Vec<u8>)| body::run(input));
