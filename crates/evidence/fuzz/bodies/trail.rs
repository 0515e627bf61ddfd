//! Any bytes as an event in CloudTrail's form: what reads must be written as something that reads
//! the same, alone and in a file.
//!
//! Run by the fuzzer (`fuzz_targets/trail.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use serde_json::{Map, Value};
use towline_evidence::trail::{Event, file, is_read_only};

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(bytes) else { return };
    let _ = is_read_only(&event.event_name);
    let line = serde_json::to_string(&event).unwrap_or_default();
    let again = serde_json::from_str::<Event>(&line);
    assert!(again.is_ok_and(|again| again == event || has_fraction(&event)), "{line}");
    let whole: Value = serde_json::from_str(&file(&[line.clone(), line])).unwrap_or_default();
    let records = whole["Records"].as_array();
    assert!(records.is_some_and(|list| list.len() == 2 && list.iter().all(Value::is_object)));
}

/// The text of a number with a fraction is read to the nearest double or the one beside it.
fn has_fraction(event: &Event) -> bool {
    let maps = [&event.request_parameters, &event.response_elements, &event.additional_event_data];
    maps.into_iter().flatten().flat_map(Map::values).any(fraction_in)
}

fn fraction_in(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(fraction_in),
        Value::Object(members) => members.values().any(fraction_in),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}
