//! Any text as `agent.toml`: see the body.
#![no_main]

#[path = "../bodies/config.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &str| body::run(input));
