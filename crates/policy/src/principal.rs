//! `Principal` and `NotPrincipal`: whom a trust or resource policy speaks of.
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
    #[error("an AWS principal is \"*\", an account of 12 digits, or an ARN of iam or sts")]
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
        let arn = Arn::split(text).ok_or(PrincipalError::Form)?;
        match (arn.service, arn.resource) {
            ("iam", "root") if is_account(arn.account) => Ok(Self::Account(arn.account.into())),
            ("iam" | "sts", resource) if resource.contains('/') => Ok(Self::Arn(text.into())),
            _ => Err(PrincipalError::Form),
        }
    }

    /// How this entry names the caller.
    pub(crate) fn names(&self, caller: &Caller<'_>) -> Named {
        match self {
            Self::Everyone => Named::Direct,
            Self::Exact(name) | Self::Arn(name) if **name == *caller.name => Named::Direct,
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
    /// account its root. A role spares none of its sessions, whoever lists both means the one
    /// session.
    pub(crate) fn spares(&self, caller: &Caller<'_>) -> bool {
        match self.names(caller) {
            Named::No | Named::Role => false,
            Named::Account => caller.is_root(),
            Named::Direct => true,
        }
    }
}

/// The caller of a request, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller<'a> {
    name: &'a str,
    arn: Option<Arn<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Arn<'a> {
    partition: &'a str,
    service: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(crate::arn::PARTS, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (_region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        (arn == "arn").then_some(Self { partition, service, account, resource })
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

impl<'a> Caller<'a> {
    pub(crate) fn read(name: &'a str) -> Self {
        Self { name, arn: Arn::split(name).filter(|arn| matches!(arn.service, "iam" | "sts")) }
    }

    pub(crate) fn account(&self) -> Option<&'a str> {
        self.arn.as_ref().map(|arn| arn.account).filter(|account| !account.is_empty())
    }

    fn is_root(&self) -> bool {
        self.arn.as_ref().is_some_and(|arn| arn.service == "iam" && arn.resource == "root")
    }

    fn is_session(&self) -> bool {
        self.arn.as_ref().is_some_and(|arn| arn.service == "sts")
    }

    /// Account and name of the role, for a role and for its sessions alike.
    fn role(&self) -> Option<(&'a str, &'a str)> {
        let arn = self.arn.as_ref()?;
        let name = match (arn.service, arn.resource.split_once('/')?) {
            ("iam", ("role", path)) => path.rsplit('/').next()?,
            ("sts", ("assumed-role", session)) => session.split('/').next()?,
            _ => return None,
        };
        Some((arn.account, name))
    }

    /// The user's name without the path.
    pub(crate) fn user_name(&self) -> Option<&'a str> {
        let arn = self.arn.as_ref()?;
        let path = arn.resource.strip_prefix("user/").filter(|_| arn.service == "iam")?;
        path.rsplit('/').next()
    }

    /// `aws:PrincipalType` as IAM spells it.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        let arn = self.arn.as_ref()?;
        match (arn.service, arn.resource.split('/').next()?) {
            ("iam", "root") => Some("Account"),
            ("iam", "user") => Some("User"),
            ("iam", "role") | ("sts", "assumed-role") => Some("AssumedRole"),
            ("sts", "federated-user") => Some("FederatedUser"),
            _ => None,
        }
    }

    /// The ARN of what outlasts the session: the role of a role session, else the caller.
    pub(crate) fn lasting_arn(&self) -> Option<String> {
        let arn = self.arn.as_ref()?;
        match self.role() {
            Some((account, role)) if self.is_session() => {
                Some(format!("arn:{}:iam::{account}:role/{role}", arn.partition))
            }
            _ => Some(self.name.to_owned()),
        }
    }
}
