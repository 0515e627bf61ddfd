//! Any text as output of a terminal, cut anywhere: see the body.
#![no_main]

#[path = "../bodies/sanitise.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (String, u16)| body::run(input));
