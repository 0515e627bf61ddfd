//! A hostile client against the agent's half: see the body.
#![no_main]

#[path = "../bodies/agent_channel.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (Vec<(u8, i16, u8, Vec<u8>)>, Vec<u8>)| body::run(input));
