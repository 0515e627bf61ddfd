//! Values of any kinds as a hand-over: see the body.
#![no_main]

#[path = "../bodies/form_round.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: body::Input| body::run(input));
