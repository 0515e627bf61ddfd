//! Any bytes as the header of the PROXY protocol: see the body.
#![no_main]

#[path = "../bodies/proxy_header.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
