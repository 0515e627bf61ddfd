//! A hostile peer against a mux that an application uses: see the body.
#![no_main]

#[path = "../bodies/mux.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<Vec<u8>>, Vec<u8>)| body::run(input));
