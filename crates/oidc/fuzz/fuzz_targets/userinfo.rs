//! Any bytes as userinfo beside a right ID token: see the body.
#![no_main]

#[path = "../bodies/userinfo.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
