//! Any bytes as the lines of a node's chain: see the body.
#![no_main]

#[path = "../bodies/node.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::run(input));
