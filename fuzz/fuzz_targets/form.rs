//! Any bytes as what a predecessor left, read as any kinds of values: see the body.
#![no_main]

#[path = "../bodies/form.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>)| body::run(input));
