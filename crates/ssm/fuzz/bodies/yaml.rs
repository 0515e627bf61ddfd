//! Any text as YAML: refused with a reason, or a tree that is written as something that reads as
//! the same tree.
//!
//! Run by the fuzzer (`fuzz_targets/yaml.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use serde_json::Value;
use towline_ssm::documents::yaml::{MAX_DEPTH, read, write};

/// One run.
pub(crate) fn run(text: &str) {
    match read(text) {
        Ok(tree) => {
            assert!(depth(&tree) <= MAX_DEPTH);
            let written = write(&tree);
            assert_eq!(read(&written), Ok(tree), "{written:?}");
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

fn depth(tree: &Value) -> usize {
    match tree {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
