//! Any values for keys that the agent knows, in the environment: taken or refused with a reason,
//! the same as from a file. Each input is a key's number and its text.
//!
//! Run by the fuzzer (`fuzz_targets/settings.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::path::PathBuf;
use towline_agent::config::raw::{Entry, Place, Value};
use towline_agent::config::{Config, KEYS};

/// One run.
pub(crate) fn run(settings: Vec<(u8, String)>) {
    let known: Vec<&str> = KEYS.iter().copied().filter(|key| *key != "gateway.ca_file").collect();
    let mut entries: Vec<Entry> = Vec::new();
    for (number, text) in settings {
        let key = known[usize::from(number) % known.len()].to_owned();
        if entries.iter().all(|entry| entry.key != key) {
            let place = Place::File(PathBuf::from("a.toml"), entries.len() + 1);
            entries.push(Entry { key, value: Value::Text(text), place });
        }
    }
    let variable = |name: &str| {
        let named = |entry: &&Entry| {
            name.strip_prefix("TOWLINE_")
                .is_some_and(|name| name == entry.key.to_ascii_uppercase().replace('.', "_"))
        };
        match &entries.iter().find(named)?.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    };
    let (mut of_file, mut of_environment) = (Vec::new(), Vec::new());
    let one = Config::from_entries(entries.clone(), |_| None, &mut of_file);
    let other = Config::from_entries(Vec::new(), variable, &mut of_environment);
    assert_eq!(of_file.len(), of_environment.len(), "{of_file:?} and {of_environment:?}");
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}
