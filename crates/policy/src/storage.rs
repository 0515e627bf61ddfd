//! What a document must satisfy, beyond the grammar, to be stored for a given use.
//!
//! Sources: IAM User Guide, "IAM and AWS STS quotas" (sizes), "Grammar of the IAM JSON policy
//! language" (notes on `Principal` and `Sid`), "AWS JSON policy elements: NotPrincipal".
//!
//! A statement about other services is stored with the keys of those services: a document that was
//! written for AWS stays whole. [`Policy::warnings`] names what does nothing here.
//!
//! # Invariants
//! - Evaluation never depends on these rules: a policy that was stored by an older gateway is still
//!   evaluated safely.
//!
//! # Not here
//! - The sum over all inline policies of a principal: the store knows the others, see
//!   [`Use::quota`].

use crate::document::{Policy, Statement};
use crate::effect::Effect;
use crate::fold::fold;
use crate::known_keys::{OWN_SERVICES, is_known, is_of_another_service};
use crate::limits;
use crate::principal::Entry;

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A managed identity policy, or a permission boundary.
    Managed,
    /// An inline policy of a user.
    UserInline,
    /// An inline policy of a group.
    GroupInline,
    /// An inline policy of a role.
    RoleInline,
    /// Handed in when temporary credentials are made.
    Session,
    /// Says who may assume a role.
    Trust,
    /// Belongs to a resource.
    Resource,
}

impl Use {
    /// Characters without white space that a document for this use may have.
    #[must_use]
    pub fn quota(self) -> usize {
        match self {
            Self::Managed => limits::MANAGED_CHARS,
            Self::UserInline => limits::USER_INLINE_CHARS,
            Self::GroupInline => limits::GROUP_INLINE_CHARS,
            Self::RoleInline => limits::ROLE_INLINE_CHARS,
            Self::Session => limits::SESSION_CHARS,
            Self::Trust => limits::TRUST_CHARS,
            Self::Resource => limits::RESOURCE_CHARS,
        }
    }

    /// Whether its statements must name a principal.
    fn names_principals(self) -> bool {
        matches!(self, Self::Trust | Self::Resource)
    }
}

/// Why a well-formed document is not stored. Every variant names the place as a JSON path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Shorten it, or split it.
    #[error("$: has {chars} characters without white space, the quota for this use is {quota}")]
    TooLong {
        /// What it has.
        chars: usize,
        /// What it may have.
        quota: usize,
    },
    /// Spell the key right.
    #[error("{path}: unknown condition key {key}: no request ever has it")]
    UnknownKey {
        /// The place.
        path: String,
        /// The key as written.
        key: String,
    },
    /// Write all six parts.
    #[error("{path}: {value} is not an ARN of six parts and can never match")]
    NotAnArn {
        /// The place.
        path: String,
        /// The value as written.
        value: String,
    },
    /// Remove the principal.
    #[error(
        "{path}: an identity policy names no principal: it applies to the identity it is attached \
         to"
    )]
    Principal {
        /// The place.
        path: String,
    },
    /// Add a Principal.
    #[error("{path}: a trust or resource policy must name a Principal")]
    NoPrincipal {
        /// The place.
        path: String,
    },
    /// Write a `Deny`, or name those who may.
    #[error(
        "{path}: NotPrincipal is valid with Deny only; with Allow it would admit everyone else"
    )]
    NotPrincipalAllows {
        /// The place.
        path: String,
    },
    /// Remove the resource.
    #[error("{path}: a trust policy names no resource: it applies to its own role")]
    TrustResource {
        /// The place.
        path: String,
    },
    /// Add one.
    #[error("{path}: the element Resource is missing")]
    NoResource {
        /// The place.
        path: String,
    },
    /// Say who of the provider is meant.
    #[error(
        "{path}: trusts everyone at the identity provider {issuer}: add a condition on \
         {issuer}:sub or \
         another claim that says who it is, with StringEquals or StringLike; aud is none"
    )]
    EveryoneOfProvider {
        /// The place.
        path: String,
        /// The issuer without its scheme.
        issuer: String,
    },
    /// Use letters and digits.
    #[error("{path}: a Sid consists of letters and digits")]
    Sid {
        /// The place.
        path: String,
    },
}

impl Policy {
    /// Checks what storing adds to the grammar. `own_keys` are the gateway's condition keys beyond
    /// AWS's, in small letters; one that ends with `/` stands for any tag after it.
    ///
    /// # Errors
    /// The first rule that the document breaks for this use.
    pub fn validate_for_storage(
        &self,
        purpose: Use,
        own_keys: &[&str],
    ) -> Result<(), StorageError> {
        let (chars, quota) = (self.counted_chars(), purpose.quota());
        if chars > quota {
            return Err(StorageError::TooLong { chars, quota });
        }
        self.statements.iter().enumerate().try_for_each(|(index, statement)| {
            let path = format!("$.Statement[{index}]");
            shape(statement, purpose, &path)?;
            if purpose == Use::Trust {
                says_who(statement, &path)?;
            }
            keys(statement, own_keys, &path)
        })
    }
}

/// Whether every action is one of a service that does not exist here.
fn is_about_other_services(statement: &Statement) -> bool {
    let actions = &statement.actions;
    let foreign = |source: &str| {
        source
            .split_once(':')
            .is_some_and(|(service, _)| service != "*" && !OWN_SERVICES.contains(&service))
    };
    !actions.negated && actions.entries.iter().all(|entry| foreign(entry.source()))
}

fn shape(statement: &Statement, purpose: Use, path: &str) -> Result<(), StorageError> {
    let path = path.to_owned();
    match &statement.principals {
        Some(_) if !purpose.names_principals() => return Err(StorageError::Principal { path }),
        None if purpose.names_principals() => return Err(StorageError::NoPrincipal { path }),
        Some(element) if element.negated && statement.effect == Effect::Allow => {
            return Err(StorageError::NotPrincipalAllows { path });
        }
        _ => {}
    }
    match &statement.resources {
        Some(_) if purpose == Use::Trust => return Err(StorageError::TrustResource { path }),
        None if purpose != Use::Trust => return Err(StorageError::NoResource { path }),
        _ => {}
    }
    let plain = |sid: &str| sid.chars().all(|c| c.is_ascii_alphanumeric());
    match &statement.sid {
        Some(sid) if !plain(sid) && purpose != Use::Resource => {
            Err(StorageError::Sid { path: format!("{path}.Sid") })
        }
        _ => Ok(()),
    }
}

/// Claims that say nothing about who it is: of OpenID Connect, with those that people choose
/// themselves; and of jobs at GitHub and GitLab, where each repository has its branches, workflows
/// and environments of any name.
const NO_IDENTITY: &[&str] = &[
    "acr",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "base_ref",
    "birthdate",
    "c_hash",
    "deployment_tier",
    "email_verified",
    "environment",
    "environment_action",
    "environment_protected",
    "event_name",
    "exp",
    "family_name",
    "gender",
    "given_name",
    "head_ref",
    "iat",
    "iss",
    "jti",
    "job_source",
    "locale",
    "middle_name",
    "name",
    "nbf",
    "nickname",
    "nonce",
    "phone_number_verified",
    "picture",
    "pipeline_source",
    "profile",
    "ref",
    "ref_path",
    "ref_protected",
    "ref_type",
    "repository_visibility",
    "run_attempt",
    "run_number",
    "runner_environment",
    "s_hash",
    "scope",
    "scp",
    "sid",
    "typ",
    "updated_at",
    "ver",
    "website",
    "workflow",
    "zoneinfo",
];

/// A statement that lets tokens of a provider in says whose: tokens of a public provider are to be
/// had by anybody.
fn says_who(statement: &Statement, path: &str) -> Result<(), StorageError> {
    let Some(element) = &statement.principals else { return Ok(()) };
    if statement.effect != Effect::Allow {
        return Ok(());
    }
    for issuer in element.entries.iter().filter_map(Entry::provider) {
        let prefix = format!("{}:", fold(issuer));
        let is_identity = |key: &str| {
            key.strip_prefix(&*prefix).is_some_and(|claim| !NO_IDENTITY.contains(&claim))
        };
        let named = statement
            .conditions
            .iter()
            .any(|condition| condition.is_narrow_text() && is_identity(condition.key().name()));
        if !named {
            let (path, issuer) = (path.to_owned(), issuer.to_owned());
            return Err(StorageError::EveryoneOfProvider { path, issuer });
        }
    }
    Ok(())
}

fn keys(statement: &Statement, own: &[&str], path: &str) -> Result<(), StorageError> {
    if is_about_other_services(statement) {
        return Ok(());
    }
    let is_known = |key: &str, own: &[&str]| is_known(key, own) || is_of_another_service(key);
    for condition in &statement.conditions {
        let place = || {
            format!("{path}.Condition.{}[{:?}]", condition.operator_name(), condition.key_name())
        };
        if !is_known(condition.key().name(), own) {
            return Err(StorageError::UnknownKey {
                path: place(),
                key: condition.key_name().to_owned(),
            });
        }
        if let Some(variable) =
            condition.variables().into_iter().find(|variable| !is_known(variable.key.name(), own))
        {
            return Err(StorageError::UnknownKey {
                path: place(),
                key: variable.key.name().to_owned(),
            });
        }
        if let Some(value) = condition.arn_that_is_none() {
            return Err(StorageError::NotAnArn { path: place(), value: value.to_owned() });
        }
    }
    let Some(element) = &statement.resources else { return Ok(()) };
    let name = if element.negated { "NotResource" } else { "Resource" };
    for (index, pattern) in element.entries.iter().enumerate() {
        if let Some(variable) =
            pattern.variables().find(|variable| !is_known(variable.key.name(), own))
        {
            let path = format!("{path}.{name}[{index}]");
            return Err(StorageError::UnknownKey { path, key: variable.key.name().to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(statement: &str) -> Result<(), StorageError> {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        Policy::parse(&text).unwrap().validate_for_storage(Use::Trust, &[])
    }

    fn trust(principal: &str, condition: &str) -> Result<(), StorageError> {
        stored(&format!(
            r#"{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRoleWithWebIdentity",
            "Condition":{condition}}}"#
        ))
    }

    const PROVIDER: &str =
        r#"{"Federated":"arn:aws:iam::000000000000:oidc-provider/id.example/realms/x"}"#;

    #[test]
    fn a_trusted_provider_needs_a_condition_on_who_it_is() {
        for good in [
            r#"{"StringEquals":{"id.example/realms/x:sub":"ann"}}"#,
            r#"{"StringLike":{"ID.example/realms/x:repository":"corp/*"}}"#,
            r#"{"ForAnyValue:StringEquals":{"id.example/realms/x:groups":["ops","dev"]}}"#,
            r#"{"StringLike":{"id.example/realms/x:sub":"repo:corp/${*}"}}"#,
            r#"{"StringEquals":{"id.example/realms/x:repository_owner_id":"1",
                "id.example/realms/x:ref":"refs/heads/main"}}"#,
        ] {
            assert_eq!(trust(PROVIDER, good), Ok(()), "{good}");
        }
        for bad in [
            "{}",
            r#"{"StringEquals":{"id.example/realms/x:aud":"towline"}}"#,
            r#"{"StringEquals":{"other.example:sub":"ann"}}"#,
            r#"{"StringLike":{"id.example/realms/x:sub":"*"}}"#,
            r#"{"StringLike":{"id.example/realms/x:sub":["repo:corp/x","**"]}}"#,
            r#"{"StringNotEquals":{"id.example/realms/x:sub":"eve"}}"#,
            r#"{"StringEqualsIfExists":{"id.example/realms/x:sub":"ann"}}"#,
            r#"{"ForAllValues:StringEquals":{"id.example/realms/x:sub":"ann"}}"#,
            r#"{"Null":{"id.example/realms/x:sub":"false"}}"#,
            r#"{"StringEquals":{"id.example/realms/x:sub":"${id.example/realms/x:sub}"}}"#,
            r#"{"StringLike":{"id.example/realms/x:sub":["ann","*${sts:RoleSessionName}"]}}"#,
            r#"{"StringEquals":{"id.example/realms/x:sub":"${aws:FederatedProvider, 'ann'}"}}"#,
            r#"{"StringEquals":{"id.example/realms/x:email_verified":"true"}}"#,
            // Anybody at a public provider of jobs makes a branch or an environment of this name.
            r#"{"StringEquals":{"id.example/realms/x:ref":"refs/heads/main"}}"#,
            r#"{"StringEquals":{"id.example/realms/x:environment":"production",
                "id.example/realms/x:ref_type":"branch"}}"#,
            r#"{"StringLike":{"id.example/realms/x:workflow":"deploy*"}}"#,
            // And calls herself like this.
            r#"{"StringEquals":{"id.example/realms/x:name":"Ann Lee"}}"#,
        ] {
            let refused = trust(PROVIDER, bad).unwrap_err();
            assert!(matches!(refused, StorageError::EveryoneOfProvider { .. }), "{bad}: {refused}");
        }
        assert_eq!(trust(r#"{"AWS":"*"}"#, "{}"), Ok(()));
    }

    #[test]
    fn a_deny_needs_no_such_condition() {
        let deny = format!(
            r#"{{"Effect":"Deny","Principal":{PROVIDER},"Action":"sts:AssumeRoleWithWebIdentity"}}"#
        );
        assert_eq!(stored(&deny), Ok(()));
    }
}
