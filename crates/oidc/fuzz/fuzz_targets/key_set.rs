//! Any bytes as a provider's key set: see the body.
#![no_main]

#[path = "../bodies/key_set.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
