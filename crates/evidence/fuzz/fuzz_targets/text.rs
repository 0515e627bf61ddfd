//! Any bytes in any cuts as the text of a terminal: see the body.
#![no_main]

#[path = "../bodies/text.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>)| body::run(input));
