//! Any names as parts of keys: no key leaves its folder, and a key tells what it was made of.
//!
//! Run by the fuzzer (`fuzz_targets/layout.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use time::OffsetDateTime;
use towline_evidence::layout;

/// One run.
pub(crate) fn run(input: (String, String, String, u32)) {
    let (prefix, name, folder, number) = input;
    let Ok(at) = OffsetDateTime::from_unix_timestamp(number.into()) else { return };
    let recording = layout::recording(&prefix, &name);
    assert!(layout::session_of(&recording).is_some());
    let segment = layout::segment(&prefix, &name, number.into());
    assert!(layout::segment_of(&segment).is_some_and(|(_, first)| first == u64::from(number)));
    let commands = layout::commands(&prefix, &name, at, number.into());
    assert!(layout::is_commands(&commands) && layout::segment_of(&commands).is_none());
    let output = layout::output(&format!("{prefix}/commands"), &name, "mi-1", &folder, "stdout");
    assert!(layout::is_output(&output), "{output}");
    let trail = layout::trail(&prefix, &name, &folder, at, "abcDEF0123456789");
    let log = layout::log(&prefix, &name);
    for key in [recording, segment, commands, output, trail, log] {
        let good = |part: &str| !part.is_empty() && !part.bytes().all(|byte| byte == b'.');
        assert!(key.split('/').all(good) && !key.contains(':') && key.is_ascii(), "{key}");
    }
}
