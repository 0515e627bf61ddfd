//! Any bytes as what the agent's two processes say: see the body.
#![no_main]

#[path = "../bodies/separation.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::run(input));
