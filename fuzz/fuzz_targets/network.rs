//! Any messages of a network process in their order: see the body.
#![no_main]

#[path = "../bodies/network.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|messages: Vec<Vec<u8>>| body::run(messages));
