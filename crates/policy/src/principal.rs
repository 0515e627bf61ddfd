//! `Principal` and `NotPrincipal`: the principals a trust or resource policy applies to.
//!
//! Source: IAM User Guide, "AWS JSON policy elements: Principal" and "NotPrincipal", and for the
//! levels of a grant "Policy evaluation logic", resource-based policies.
//!
//! # Invariants
//! - No wildcard but the lone `*`: parts of a name cannot be left open.
//! - Naming an account delegates to it; it does not by itself grant anything inside the account.
//!
//! # Known limits
//! - A path of a role is not part of a session's ARN, so `role/path/name` and `role/name` both
//!   stand for the sessions of the role `name` of that account (role names are unique in an account
//!   whatever their path).

use crate::limits::MAX_ARN_BYTES;
use crate::request::{Arn, Caller, is_account};

/// How directly an entry names the caller. The order is the order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    /// Not at all.
    No,
    /// The account: identity policies still have to allow.
    Account,
    /// The role of the caller's session: boundary and session policy still limit.
    Role,
    /// The caller, or everyone.
    Direct,
}

/// One entry of a principal element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `*`.
    Everyone,
    /// An account, by number or by the ARN of its root.
    Account(Box<str>),
    /// A user, a role or a session.
    Arn(Box<str>),
    /// A `Service`, `Federated` or `CanonicalUser` principal: compared as it is.
    Exact(Box<str>),
}

/// Why a text is no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PrincipalError {
    #[error("a principal is named in full: \"*\" stands alone, never for part of a name")]
    Wildcard,
    #[error(
        "an AWS principal is \"*\", an account of 12 digits, an ARN of iam or sts, or the id of a \
         principal that is gone"
    )]
    Form,
}

/// The kinds of a principal map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Aws,
    Federated,
    Service,
    CanonicalUser,
}

impl Kind {
    pub(crate) fn read(name: &str) -> Option<Self> {
        match name {
            "AWS" => Some(Self::Aws),
            "Federated" => Some(Self::Federated),
            "Service" => Some(Self::Service),
            "CanonicalUser" => Some(Self::CanonicalUser),
            _ => None,
        }
    }
}

/// Whether a text is the unique id of a user or role, or of one session of a role: what is left in
/// a policy of a principal that was removed.
fn is_unique_id(text: &str) -> bool {
    let id = text.split_once(':').map_or(text, |(id, _)| id);
    let form = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let known = id.starts_with("AIDA") || id.starts_with("AROA");
    known && id.len() == 20 && id.bytes().all(form)
}

impl Entry {
    pub(crate) fn read(kind: Kind, text: &str) -> Result<Self, PrincipalError> {
        if text == "*" && kind == Kind::Aws {
            return Ok(Self::Everyone);
        }
        if text.contains(['*', '?']) {
            return Err(PrincipalError::Wildcard);
        }
        if text.is_empty() || text.len() > MAX_ARN_BYTES {
            return Err(PrincipalError::Form);
        }
        if kind != Kind::Aws {
            return Ok(Self::Exact(text.into()));
        }
        if is_account(text) {
            return Ok(Self::Account(text.into()));
        }
        if is_unique_id(text) {
            return Ok(Self::Exact(text.into())); // of a principal that is gone: names nobody
        }
        let arn = Arn::split(text).ok_or(PrincipalError::Form)?;
        match (arn.service, arn.resource) {
            ("iam", "root") if is_account(arn.account) => Ok(Self::Account(arn.account.into())),
            ("iam" | "sts", resource) if resource.contains('/') => Ok(Self::Arn(text.into())),
            _ => Err(PrincipalError::Form),
        }
    }

    /// What stands behind `oidc-provider/` in the ARN of an identity provider: its issuer without
    /// the scheme, which is also what its condition keys begin with.
    pub(crate) fn provider(&self) -> Option<&str> {
        let Self::Exact(name) = self else { return None };
        name.split_once(":oidc-provider/").map(|(_, issuer)| issuer)
    }

    /// How an Allow with this entry names the caller. A caller who comes with a token of an
    /// identity provider is named by `Federated` alone: "everyone" and an account mean principals
    /// that exist.
    pub(crate) fn grants(&self, caller: &Caller<'_>) -> Named {
        match self {
            Self::Everyone | Self::Account(_) | Self::Arn(_) if caller.is_provider() => Named::No,
            _ => self.names(caller),
        }
    }

    /// How this entry names the caller.
    pub(crate) fn names(&self, caller: &Caller<'_>) -> Named {
        match self {
            Self::Everyone => Named::Direct,
            Self::Exact(name) | Self::Arn(name) if **name == *caller.name() => Named::Direct,
            Self::Exact(_) => Named::No,
            Self::Account(account) => {
                if caller.account() == Some(account) {
                    Named::Account
                } else {
                    Named::No
                }
            }
            Self::Arn(arn) => {
                // Only the ARN of the role itself stands for its sessions; a session's ARN for no
                // other session.
                let entry = Caller::read(arn);
                let same_role = !entry.is_session()
                    && entry.role().is_some_and(|role| Some(role) == caller.role());
                if same_role { Named::Role } else { Named::No }
            }
        }
    }

    /// Whether a `NotPrincipal` with this entry spares the caller: only one that names it, and an
    /// account its root. A role spares none of its sessions, a list of both means the one
    /// session.
    pub(crate) fn spares(&self, caller: &Caller<'_>) -> bool {
        match self.names(caller) {
            Named::No | Named::Role => false,
            Named::Account => caller.is_root(),
            Named::Direct => true,
        }
    }
}
