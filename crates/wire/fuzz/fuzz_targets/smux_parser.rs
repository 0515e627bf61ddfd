//! Any bytes in any cuts as frames of a tunnel: see the body.
#![no_main]

#[path = "../bodies/smux_parser.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>)| body::run(input));
