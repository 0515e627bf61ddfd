//! Any bytes as a policy document: see the body.
#![no_main]

#[path = "../bodies/document.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &str| body::run(data));
