//! Keys, a device's word about them and a screen, in any order: see the body.
#![no_main]

#[path = "../bodies/typed.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: Vec<(u8, u8, Vec<u8>)>| body::run(input));
