//! Any text as `agent.toml`: settings within their bounds, and what is wrong with the others told
//! with its line.
//!
//! Run by the fuzzer (`fuzz_targets/config.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`). A file of certificates is left out: that key reads whatever it names.

use std::path::Path;
use towline_agent::config::Config;
use towline_agent::config::raw::{Place, parse};
use towline_agent::limits;
use towline_agent::state::enrollment::Address;

/// One run.
pub(crate) fn run(text: &str) {
    let (mut entries, mut findings) = (Vec::new(), Vec::new());
    parse(Path::new("a.toml"), text, &mut entries, &mut findings);
    let lines = text.split('\n').count();
    let written = entries.len();
    entries.retain(|entry| entry.key != "gateway.ca_file");
    let config = Config::from_entries(entries, |_| None, &mut findings);
    assert!(findings.len() <= written + 1);
    for finding in &findings {
        assert!(!finding.text.is_empty() && !finding.to_string().is_empty());
        assert!(matches!(finding.place, Place::File(_, line) if (1..=lines).contains(&line)));
    }
    assert!((1..=limits::SESSIONS_CEILING).contains(&config.max_sessions));
    assert!((limits::WINDOW_FLOOR..=limits::WINDOW_CEILING).contains(&config.window));
    assert!(config.audit.spool_bytes <= limits::SPOOL_CEILING);
    assert!((1..=86_400).contains(&config.reconnect_max.as_secs()));
    assert!(config.state_dir.is_absolute() && config.runtime_dir.is_absolute());
    let _ = config.proxy_for(&Address { host: "gw.example".into(), port: 443 });
}
