//! A pattern and a text, split at the first line feed: see the body.
#![no_main]

#[path = "../bodies/wildcards.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &str| body::run(data));
