//! Any values for keys that the agent knows: see the body.
#![no_main]

#[path = "../bodies/settings.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: Vec<(u8, String)>| body::run(input));
