//! YAML, as far as documents need it: read into a JSON value, and written from one.
//!
//! Data flow: text -> events of the parser -> a tree of at most [`MAX_DEPTH`] levels ->
//! [`serde_json::Value`]. Back: block style, texts in double quotes (JSON's quoting is YAML's too).
//!
//! # Invariants
//! - Anchors, aliases, tags, merge keys and several documents in one text are refused: the tree is
//!   never larger than its text.
//! - Plain scalars are resolved by the core schema of YAML 1.2: `yes` and `on` are texts. Numbers
//!   that JSON cannot hold are refused; a key that stands twice is refused.
//!
//! # Not here
//! - No comments and no order of keys survive the way from YAML to JSON; what was stored is given
//!   back as it was.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Deepest nesting, as in `serde_json`.
pub const MAX_DEPTH: usize = 64;

/// Longest key that is written without a question mark, bytes: YAML reads one of 1,024 characters.
const LONGEST_IMPLICIT_KEY: usize = 1_000;

/// A collection that is being read.
enum Open {
    List(Vec<Value>),
    Map { members: Map<String, Value>, key: Option<String> },
}

/// Reads one YAML document.
///
/// # Errors
/// What is wrong, with its line.
pub fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let line = span.start.line();
        let complete = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => None,
            Event::DocumentStart(_) if root.is_some() => {
                return Err(format!("line {line}: a second YAML document"));
            }
            Event::DocumentStart(_) => None,
            Event::Alias(_) => return Err(format!("line {line}: aliases are not taken")),
            Event::Scalar(text, style, 0, None) => {
                Some(scalar(&text, style).map_err(|e| format!("line {line}: {e}"))?)
            }
            Event::SequenceStart(0, None) => deeper(&mut open, Open::List(Vec::new()), line)?,
            Event::MappingStart(0, None) => {
                deeper(&mut open, Open::Map { members: Map::new(), key: None }, line)?
            }
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(format!("line {line}: anchors and tags are not taken"));
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Some(Value::Array(items)),
                Some(Open::Map { members, .. }) => Some(Value::Object(members)),
                None => return Err(format!("line {line}: an end without a beginning")),
            },
        };
        if let Some(value) = complete {
            match open.last_mut() {
                None => root = Some(value),
                Some(parent) => {
                    place(parent, value).map_err(|error| format!("line {line}: {error}"))?
                }
            }
        }
    }
    root.ok_or_else(|| "there is nothing in it".to_owned())
}

fn deeper(open: &mut Vec<Open>, new: Open, line: usize) -> Result<Option<Value>, String> {
    if open.len() >= MAX_DEPTH {
        return Err(format!("line {line}: nested deeper than {MAX_DEPTH} levels"));
    }
    open.push(new);
    Ok(None)
}

fn place(parent: &mut Open, value: Value) -> Result<(), &'static str> {
    match parent {
        Open::List(items) => items.push(value),
        Open::Map { members, key } => match key.take() {
            Some(key) => {
                members.insert(key, value);
            }
            None => {
                let Value::String(name) = value else {
                    return Err("a key must be a text: put it into quotes");
                };
                if name == "<<" {
                    return Err("merge keys are not taken");
                }
                if members.contains_key(&name) {
                    return Err("the same key stands twice");
                }
                *key = Some(name);
            }
        },
    }
    Ok(())
}

/// A scalar by the core schema.
fn scalar(text: &str, style: ScalarStyle) -> Result<Value, &'static str> {
    if !matches!(style, ScalarStyle::Plain) {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "-.inf" | "+.inf" | ".nan" | ".NaN" | ".NAN" => {
            return Err("JSON has no such number: put it into quotes");
        }
        _ if is_number(text) => number(text)?,
        _ => Value::String(text.to_owned()),
    })
}

/// `[-+]? digits [. digits]? ([eE][-+]?digits)?`, or `. digits`; octal and hexadecimal stay texts
/// that nothing here wants.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let exponent_good = exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    exponent_good
        && match mantissa.split_once('.') {
            None => digits(mantissa),
            Some((whole, part)) => {
                (digits(whole) && (part.is_empty() || digits(part)))
                    || (whole.is_empty() && digits(part))
            }
        }
}

fn number(text: &str) -> Result<Value, &'static str> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = plain.parse::<i64>() {
        return Ok(Value::from(whole));
    }
    plain
        .parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
        .ok_or("this number is too large: put it into quotes")
}

/// Writes a value as YAML, block style.
#[must_use]
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (at, (key, member)) in members.iter().enumerate() {
                if at > 0 || !out.ends_with("- ") {
                    indent(depth, out);
                }
                let key = Value::String(key.clone()).to_string();
                if key.len() > LONGEST_IMPLICIT_KEY {
                    out.push_str(&format!("? {key}\n"));
                    indent(depth, out);
                } else {
                    out.push_str(&key);
                }
                out.push(':');
                nested(member, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 || !out.ends_with("- ") {
                    indent(depth, out);
                }
                out.push_str("- ");
                block(item, depth + 1, out);
            }
        }
        other => line(other, out),
    }
}

fn nested(member: &Value, depth: usize, out: &mut String) {
    let empty = match member {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if empty {
        out.push(' ');
        line(member, out);
    } else {
        out.push('\n');
        block(member, depth + 1, out);
    }
}

fn line(value: &Value, out: &mut String) {
    out.push_str(&value.to_string());
    out.push('\n');
}

fn indent(depth: usize, out: &mut String) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn block_and_flow_style_mean_the_same_tree() {
        let text = "a: 1\nb:\n  - x\n  - {c: 'd', e: [true, ~, 1.5]}\nf: |\n  two\n  lines\n";
        let tree =
            json!({"a": 1, "b": ["x", {"c": "d", "e": [true, null, 1.5]}], "f": "two\nlines\n"});
        assert_eq!(read(text), Ok(tree));
    }

    #[test]
    fn only_the_words_of_the_core_schema_are_anything_but_text() {
        let text = "[yes, no, on, off, y, 0x1F, 1_000, 012, 1.0, '1.0', 2026-01-01, 1e3]";
        let tree = json!([
            "yes",
            "no",
            "on",
            "off",
            "y",
            "0x1F",
            "1_000",
            12,
            1.0,
            "1.0",
            "2026-01-01",
            1000.0
        ]);
        assert_eq!(read(text), Ok(tree));
    }

    #[test]
    fn what_could_grow_or_mean_two_things_is_refused() {
        for (text, why) in [
            ("a: &x [1]\nb: *x", "anchors"),
            ("a: !!binary aGk=", "tags"),
            ("a: 1\na: 2", "twice"),
            ("a: 1\n---\nb: 2", "second"),
            ("1: a", "key"),
            ("<<: {a: 1}", "merge"),
            ("a: .inf", "quotes"),
            ("a: 1e999", "quotes"),
            ("", "nothing"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(read(&deep(MAX_DEPTH)).is_ok());
        assert!(read(&deep(MAX_DEPTH + 1)).unwrap_err().contains("deeper"));
        assert!(
            read(&deep(30_000)).is_err(),
            "the parser has a limit of its own before ours is reached"
        );
    }

    #[test]
    fn a_key_longer_than_yaml_reads_without_a_question_mark_is_read_again() {
        let long = || "k\u{c}".repeat(300);
        let tree = json!({ long(): [[{ long(): 1, "b": [] }, 2], { long(): { "c": null } }] });
        let text = write(&tree);
        assert_eq!(read(&text), Ok(tree), "{text}");
    }

    #[test]
    fn whatever_is_written_is_read_again() {
        let tree = json!({
            "schemaVersion": "2.2", "empty": {}, "none": [], "text": "a: \"b\" #c\nü\u{1}",
            "mainSteps": [{"name": "x", "inputs": {"runCommand": ["a", "b"], "deep": [[1, 2], {}]}}, "plain"],
            "null": null, "no": false, "n": -1.5e300
        });
        let text = write(&tree);
        assert_eq!(read(&text), Ok(tree), "{text}");
    }
}
