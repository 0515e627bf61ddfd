//! A hostile client of a tunnel against an agent's end that an application uses: see the body.
#![no_main]

#[path = "../bodies/smux.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>)| body::run(input));
