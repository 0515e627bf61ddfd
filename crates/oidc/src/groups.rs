//! Groups of a person, in every shape that providers give them.
//!
//! | shape | seen at |
//! |---|---|
//! | array of strings | Keycloak, Okta, Authentik, Dex, GitLab, Entra |
//! | array of objects with `name` | providers that give the whole group |
//! | one string with separators | directories behind a gateway |
//! | members of an object | providers that map a role to its organisations |
//!
//! # Invariants
//! - Values match exactly and keep their letter case: the mapping decides what they mean.
//! - At most [`MAX_GROUPS`] are taken; more are an error, for a group that is cut off would be
//!   missed.

use serde_json::Value;

use crate::limits::{MAX_GROUP, MAX_GROUPS, MAX_STEPS};

/// Why a text is no path to a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path to a claim has 1 to {MAX_STEPS} names with dots between them, such as \
     realm_access.roles"
)]
pub struct PathError;

/// Where a claim is: a name, or names with dots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    whole: String,
    steps: Vec<String>,
}

impl ClaimPath {
    /// Reads a path. A claim whose name has dots itself (`https://corp.example/groups`) is found by
    /// its whole name.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let steps: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_name = text.contains("://");
        let good = is_name || (steps.len() <= MAX_STEPS && steps.iter().all(|s| !s.is_empty()));
        if text.is_empty() || text.len() > MAX_GROUP || !good {
            return Err(PathError);
        }
        Ok(Self { whole: text.to_owned(), steps })
    }

    /// The value there.
    #[must_use]
    pub fn of<'v>(&self, claims: &'v Value) -> Option<&'v Value> {
        if let Some(whole) = claims.get(&self.whole) {
            return Some(whole);
        }
        self.steps.iter().take(MAX_STEPS).try_fold(claims, |value, step| value.get(step))
    }

    /// A single value there, as text: for tags.
    #[must_use]
    pub fn text(&self, claims: &Value) -> Option<String> {
        match self.of(claims)? {
            Value::String(text) => Some(text.clone()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// The groups at a path. `separator`: what stands between groups in one string; without it, a
/// string is one group. Nothing when the token has more than [`MAX_GROUPS`].
#[must_use]
pub fn groups(claims: &Value, path: &ClaimPath, separator: Option<char>) -> Option<Vec<String>> {
    let mut found: Vec<String> = match path.of(claims) {
        None => Vec::new(),
        Some(Value::String(text)) => match separator {
            None => vec![text.clone()],
            Some(separator) => text.split(separator).map(|one| one.trim().to_owned()).collect(),
        },
        Some(Value::Array(all)) => all.iter().filter_map(name).map(str::to_owned).collect(),
        Some(Value::Object(members)) => {
            let said = members.iter().filter(|(_, value)| !is_denied(value));
            said.map(|(name, _)| name.clone()).collect()
        }
        Some(_) => Vec::new(),
    };
    found.retain(|group| !group.is_empty() && group.len() <= MAX_GROUP);
    found.sort_unstable();
    found.dedup();
    (found.len() <= MAX_GROUPS).then_some(found)
}

/// Whether a member's value says that there is no such group.
fn is_denied(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

/// The name of one group: itself, or its member `name`.
fn name(group: &Value) -> Option<&str> {
    group.as_str().or_else(|| group.get("name")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(claims: &Value, path: &str, separator: Option<char>) -> Vec<String> {
        groups(claims, &ClaimPath::parse(path).unwrap(), separator).unwrap()
    }

    #[test]
    fn every_shape_of_claim_gives_the_same_groups() {
        for (claims, path, separator) in [
            (json!({"groups": ["ops", "dev"]}), "groups", None),
            (json!({"groups": [{"name": "dev"}, {"name": "ops", "id": 7}]}), "groups", None),
            (json!({"groups": "ops, dev"}), "groups", Some(',')),
            (json!({"groups": "ops dev  "}), "groups", Some(' ')),
            (json!({"realm_access": {"roles": ["ops", "dev"]}}), "realm_access.roles", None),
            (json!({"roles": {"ops": {"1": "x"}, "dev": {}}}), "roles", None),
            (
                json!({"https://corp.example/groups": ["dev", "ops"]}),
                "https://corp.example/groups",
                None,
            ),
            (json!({"a": {"b": {"c": {"d": {"e": ["dev", "ops"]}}}}}), "a.b.c.d.e", None),
        ] {
            assert_eq!(found(&claims, path, separator), ["dev", "ops"], "{claims}");
        }
    }

    #[test]
    fn what_is_no_group_is_none() {
        let many: Vec<_> = (0..=MAX_GROUPS).map(|n| n.to_string()).collect();
        let path = ClaimPath::parse("groups").unwrap();
        assert_eq!(groups(&json!({ "groups": many }), &path, None), None);
        assert!(found(&json!({"groups": [1, null, {"id": "x"}, ""]}), "groups", None).is_empty());
        assert!(found(&json!({"groups": 7}), "groups", None).is_empty());
        let denied = json!({"groups": {"ops": false, "dev": null}});
        assert!(found(&denied, "groups", None).is_empty());
        assert!(found(&json!({}), "groups", None).is_empty());
        assert_eq!(found(&json!({"groups": "cn=a,dc=b"}), "groups", None), ["cn=a,dc=b"]);
        for wrong in ["", "a..b", ".a", "a.b.c.d.e.f"] {
            assert_eq!(ClaimPath::parse(wrong), Err(PathError), "{wrong}");
        }
    }
}
