//! Any text as a document of each kind and format, with any parameters: see the body.
#![no_main]

#[path = "../bodies/documents.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: (String, Vec<String>)| body::run(input));
