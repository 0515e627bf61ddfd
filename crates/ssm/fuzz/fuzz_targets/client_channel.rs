//! A hostile gateway against the client's half. Memory stays within the bounds whatever happens:
//! see the body.
#![no_main]

#[path = "../bodies/client_channel.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<(u8, i16, u8, Vec<u8>)>, Vec<u8>)| body::run(input));
