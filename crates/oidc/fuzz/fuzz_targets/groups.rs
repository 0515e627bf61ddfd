//! Any claims and any path to groups: see the body.
#![no_main]

#[path = "../bodies/groups.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, String, Option<char>)| body::run(input));
