//! A policy and a request of any parts, in two spellings: see the body.
#![no_main]

#[path = "../bodies/canonical.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (u8, String, String, String, String)| body::run(input));
