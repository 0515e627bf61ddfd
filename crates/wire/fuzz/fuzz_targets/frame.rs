//! Any bytes, in any cuts, through the frame reader: see the body.
#![no_main]

#[path = "../bodies/frame.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>)| body::run(input));
