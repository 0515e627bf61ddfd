//! A signed chain of any records, and one change of its lines: see the body.
#![no_main]

#[path = "../bodies/signed_chain.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<(u8, u8)>, [u16; 3])| body::run(input));
