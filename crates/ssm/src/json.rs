//! JSON in which no object has a member twice.
//!
//! Other readers take the first of two equal members, or the last: what one program has judged is
//! not what the next one does then. Here such a text is no JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a whole text.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn read(text: &[u8]) -> Result<Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let value = Strict.deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                let shown: String = key.chars().take(MAX_SHOWN).collect();
                return Err(A::Error::custom(format!("{shown:?} stands twice in one object")));
            }
            object.insert(key, members.next_value_seed(Strict)?);
        }
        Ok(Value::Object(object))
    }
}

/// Characters of a member's name that an error shows.
const MAX_SHOWN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_member_that_stands_twice_is_named_at_any_depth_and_in_any_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"b":[{"a":1,"c":2,"a":3}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":null,"a":1}"#,
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("\"a\" stands twice in one object"), "{text}: {error}");
        }
        for text in [r#"{"a":1,"A":2}"#, r#"{"a":{"a":{}}}"#, r#"[{"a":1},{"a":1}]"#] {
            read(text.as_bytes()).unwrap();
        }
    }

    #[test]
    fn what_is_no_json_or_has_no_end_is_refused() {
        for text in ["", "{", "{} {}", "{\"a\":1,}", "nul", &"[".repeat(100_000)] {
            assert!(read(text.as_bytes()).is_err(), "{}", text.len());
        }
    }

    proptest! {
        #[test]
        fn everything_else_reads_as_it_did(text in "[\\[\\]{}:,\"a-c0-9.eE+ -]{0,24}") {
            let (ours, theirs) = (read(text.as_bytes()), serde_json::from_str::<Value>(&text));
            if let Ok(value) = ours {
                prop_assert_eq!(value, theirs.unwrap());
            } else if let Ok(value) = theirs {
                prop_assert!(text.contains('{'), "{:?} {:?}", text, value);
            }
        }
    }
}
