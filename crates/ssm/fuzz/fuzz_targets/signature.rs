//! A request of any parts, signed, respelt and changed: see the body.
#![no_main]

#[path = "../bodies/signature.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (String, String, Vec<(String, String)>, u8)| body::run(input));
