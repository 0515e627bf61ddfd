//! Any bytes as a proxy's answer, its URL and its exemptions: see the body.
#![no_main]

#[path = "../bodies/proxy.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::run(input));
