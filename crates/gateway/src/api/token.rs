//! What temporary credentials say: who holds them, what began them, until when.
//!
//! # Not here
//! - How they are made and proven: [`super::tokens`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_policy::fold;
use towline_ssm::error::ApiError;

use super::root::Root;

/// Who holds temporary credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Holder {
    /// A user, as herself.
    User {
        /// Her name.
        name: String,
    },
    /// The session of an assumed role.
    Role {
        /// The role's name.
        role: String,
        /// The role's unique id: one made anew under the name is another role.
        unique_id: String,
        /// The session's name.
        session: String,
    },
    /// The session of an assumed role, with an approved request of the person behind it.
    RoleAccess {
        /// The role's name.
        role: String,
        /// The role's unique id.
        unique_id: String,
        /// The session's name.
        session: String,
        /// The request.
        request: String,
    },
    /// A user with an approved request.
    Access {
        /// Her name.
        name: String,
        /// The request.
        request: String,
    },
}

/// What a token says.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Token {
    /// The secret half of its key; empty until it is minted.
    pub(super) secret: String,
    pub(super) holder: Holder,
    /// What began the chain; `root_key` as long as there were keys alone.
    #[serde(rename = "root_key")]
    pub(super) root: Root,
    pub(super) issued_at: i64,
    pub(super) expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) transitive: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source_identity: Option<String>,
    /// The second factor that was proved for it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) second_factor: Option<(String, i64)>,
}

impl Token {
    /// A token without a secret yet; [`Api::mint`](super::service::Api::mint) makes one.
    pub(super) fn new(holder: Holder, root: Root, now: UnixMillis, life: Duration) -> Self {
        Self {
            secret: String::new(),
            holder,
            root,
            issued_at: now.0,
            expires_at: now.plus(life).0,
            policy: None,
            tags: BTreeMap::new(),
            transitive: Vec::new(),
            source_identity: None,
            second_factor: None,
        }
    }

    /// Takes a tag over from the credentials before.
    ///
    /// # Errors
    /// `ValidationException` when the request sets it, in whatever letter case.
    pub(super) fn inherit(&mut self, key: String, value: String) -> Result<(), ApiError> {
        if tag(&self.tags, &key).is_some() {
            return Err(ApiError::validation("a tag that was handed on cannot be set again"));
        }
        self.tags.insert(key.clone(), value);
        self.transitive.push(key);
        Ok(())
    }

    /// The role that it is of; nothing for a user's.
    pub(super) fn role(&self) -> &str {
        match &self.holder {
            Holder::Role { role, .. } | Holder::RoleAccess { role, .. } => role,
            Holder::User { .. } | Holder::Access { .. } => "",
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// The value of a tag, in whatever letter case its key is written.
pub(super) fn tag<'t>(tags: &'t BTreeMap<String, String>, key: &str) -> Option<&'t String> {
    let key = fold(key);
    tags.iter().find(|(other, _)| fold(other) == key).map(|(_, value)| value)
}
