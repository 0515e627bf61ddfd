//! What began a chain of temporary credentials: a long-lived key, or an identity provider.
//!
//! # Invariants
//! - Every link of a chain holds the same root, so that its end ends them all.

use serde::{Deserialize, Serialize};

/// What began a chain of credentials. They end with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Root {
    /// A long-lived key.
    Key(String),
    /// A person that an identity provider vouched for.
    Vouched(Vouched),
}

/// A person that an identity provider vouched for, as tokens hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Vouched {
    /// Id of the person's row.
    pub(super) person: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) second_factor: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) auth_time: Option<i64>,
    /// For people who signed in: the role, and the groups that gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mapped: Option<Mapped>,
}

/// A role by the mapping of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mapped {
    /// The role's name.
    pub(super) role: String,
    /// Those of the person's groups that the mapping names.
    pub(super) groups: Vec<String>,
}
