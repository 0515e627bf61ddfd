//! The principal that a request names: user, group or role.

use towline_ssm::api::admin::PrincipalKind;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::{Realm, UserName};

/// Nothing of this kind and name exists.
pub(super) fn missing(what: &str) -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFoundException, format!("there is no such {what}"))
}

/// A principal that a request names.
pub(super) struct Named {
    pub(super) kind: PrincipalKind,
    pub(super) name: UserName,
}

impl Named {
    pub(super) fn new(kind: PrincipalKind, name: &str) -> Result<Self, ApiError> {
        Ok(Self { kind, name: name.parse().map_err(|_| missing("principal"))? })
    }

    /// From a request's `PrincipalType` and `PrincipalName`.
    pub(super) fn of(kind: Option<&String>, name: &str) -> Result<Self, ApiError> {
        Self::new(PrincipalKind::of(kind), name)
    }

    /// The name in the store: nothing is in front of a user's.
    pub(super) fn stored(&self) -> String {
        format!("{}{}", prefix(self.kind), self.name)
    }

    pub(super) fn arn(&self, realm: &Realm) -> String {
        match self.kind {
            PrincipalKind::User => realm.user_arn(&self.name),
            PrincipalKind::Group => realm.group_arn(&self.name),
            PrincipalKind::Role => realm.role_arn(&self.name),
        }
    }
}

/// What is in front of the name in the store.
pub(super) const fn prefix(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "",
        PrincipalKind::Group => "group/",
        PrincipalKind::Role => "role/",
    }
}
