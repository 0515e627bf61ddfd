//! Any text as YAML: see the body.
#![no_main]

#[path = "../bodies/yaml.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &str| body::run(input));
