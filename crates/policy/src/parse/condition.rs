//! The `Condition` block: operators, their keys, the values.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Condition" and the grammar: a value is a
//! string, a number or a Boolean, or a list of them.
//!
//! # Invariants
//! - Values are compiled for their operator here; one that does not fit never reaches an
//!   evaluation.

use super::error::{ParseError, Path, Rule};
use super::members::{object, wrong};
use crate::condition::{Condition, ValueError};
use crate::json::Json;
use crate::limits::MAX_KEY_BYTES;
use crate::operator::Operator;

/// A block without operators, or an operator without keys, asks for nothing and is met.
pub(super) fn read(
    json: &Json,
    variables: bool,
    at: &Path<'_>,
) -> Result<Vec<Condition>, ParseError> {
    let mut conditions = Vec::new();
    for (operator_name, keys) in object(json, at)? {
        let at = at.member(operator_name);
        let operator = Operator::read(operator_name)
            .map_err(|right| ParseError::new(&at, Rule::UnknownOperator(right)))?;
        for (key, values) in object(keys, &at)? {
            let at = at.member(key);
            if key.is_empty()
                || key.len() > MAX_KEY_BYTES
                || key.contains(['*', '?', '$', '{', '}'])
            {
                return Err(ParseError::new(&at, Rule::ConditionKey));
            }
            let list = read_values(values, &at)?;
            let condition = Condition::compile((operator_name, operator), key, &list, variables)
                .map_err(|(index, error)| {
                    let rule = match error {
                        ValueError::Pattern(error) => Rule::Pattern(error),
                        ValueError::Type => Rule::ConditionValue(operator.family.wants()),
                    };
                    match values {
                        Json::Array(_) => ParseError::new(&at.item(index), rule),
                        _ => ParseError::new(&at, rule),
                    }
                })?;
            conditions.push(condition);
        }
    }
    Condition::relate(&mut conditions);
    Ok(conditions)
}

fn read_values(json: &Json, at: &Path<'_>) -> Result<Vec<String>, ParseError> {
    match json {
        Json::Array(items) if items.is_empty() => Err(ParseError::new(at, Rule::Empty)),
        Json::Array(items) => {
            items.iter().enumerate().map(|(index, item)| scalar(item, &at.item(index))).collect()
        }
        one => Ok(vec![scalar(one, at)?]),
    }
}

fn scalar(json: &Json, at: &Path<'_>) -> Result<String, ParseError> {
    match json {
        Json::String(text) | Json::Number(text) => Ok(text.clone()),
        Json::Bool(truth) => Ok(truth.to_string()),
        other => Err(wrong(other, "a string, a number, a Boolean or a list of them", at)),
    }
}
