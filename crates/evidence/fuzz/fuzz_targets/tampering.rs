//! A recording of any events, and one change of its lines: see the body.
#![no_main]

#[path = "../bodies/tampering.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<(u8, u16, Vec<u8>)>, [u16; 3])| body::run(input));
