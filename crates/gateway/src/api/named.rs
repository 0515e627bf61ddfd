//! The principal that a request names: user, group or role.

use towline_ssm::api::admin::PrincipalKind;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::{Realm, UserName};
use towline_store::StoreError;
use towline_wire::text;

use super::internal::OrInternal as _;

/// Characters of a name in an error.
const SHOWN: usize = 256;

/// Nothing of this kind and name exists.
pub(super) fn missing(kind: &str, name: &str) -> ApiError {
    let name = text::plain(name, SHOWN);
    ApiError::new(ErrorCode::ResourceNotFoundException, format!("there is no {kind} {name}"))
}

/// What was made; where it could not be because something like it is there, the error names it.
pub(super) fn made<T>(
    made: Result<T, StoreError>,
    shown: &str,
    wrong: &str,
) -> Result<T, ApiError> {
    if let Err(StoreError::Exists(what)) = &made {
        let message = format!("cannot create {shown}: the {what} already exists");
        return Err(ApiError::new(ErrorCode::ResourceAlreadyExistsException, message));
    }
    made.or_internal(wrong)
}

/// No device has this id.
pub(super) fn no_device(id: &str) -> ApiError {
    let id = text::plain(id, SHOWN);
    ApiError::new(ErrorCode::InvalidInstanceId, format!("no device has the id {id}"))
}

/// A principal that a request names.
pub(super) struct Named {
    pub(super) kind: PrincipalKind,
    pub(super) name: UserName,
}

impl Named {
    pub(super) fn new(kind: PrincipalKind, name: &str) -> Result<Self, ApiError> {
        Ok(Self { kind, name: name.parse().map_err(|_| missing(word(kind), name))? })
    }

    /// From a request's `PrincipalType` and `PrincipalName`.
    pub(super) fn of(kind: Option<&String>, name: &str) -> Result<Self, ApiError> {
        Self::new(PrincipalKind::of(kind), name)
    }

    /// The name in the store: nothing is in front of a user's.
    pub(super) fn stored(&self) -> String {
        format!("{}{}", prefix(self.kind), self.name)
    }

    /// Kind and name, in words.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", word(self.kind), self.name)
    }

    /// It does not exist.
    pub(super) fn missing(&self) -> ApiError {
        missing(word(self.kind), self.name.as_str())
    }

    pub(super) fn arn(&self, realm: &Realm) -> String {
        match self.kind {
            PrincipalKind::User => realm.user_arn(&self.name),
            PrincipalKind::Group => realm.group_arn(&self.name),
            PrincipalKind::Role => realm.role_arn(&self.name),
        }
    }
}

/// The word for a kind.
const fn word(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::Group => "group",
        PrincipalKind::Role => "role",
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
