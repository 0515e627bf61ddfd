//! Any bytes as an event in CloudTrail's form: see the body.
#![no_main]

#[path = "../bodies/trail.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::run(input));
