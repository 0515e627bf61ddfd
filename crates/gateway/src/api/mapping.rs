//! What claims mean here: groups, roles, tags, the name of a session, condition keys.
//!
//! # Invariants
//! - An e-mail address that the provider has not verified means nothing, whichever setting names
//!   it.
//! - Groups are known in full or not at all: when the provider left them out, or sent too many,
//!   nothing is decided by them. A group that is missing could be the one that a policy denies.
//! - A person has one name: it does not depend on the way in which she signs in.
//!
//! # Not here
//! - Whether the claims are right: `towline_oidc`.

use std::collections::BTreeMap;

use serde_json::Value;
use towline_oidc::limits::MAX_GROUPS;
use towline_oidc::{ClaimPath, groups};
use towline_policy::fold;
use towline_ssm::api::provider::ProviderSettings;
use towline_ssm::api::tags::Tag;
use towline_ssm::error::{ApiError, ErrorCode};

use super::call::Vouch;
use crate::limits::{MAX_CLAIM, MAX_CLAIM_KEYS, MAX_TAG_VALUE};

/// Most characters of the name of a role's session.
const MAX_SESSION_NAME: usize = 64;

/// The claim with an e-mail address, in the letter case of OpenID Connect or any other: condition
/// keys do not differ by it, by the same rule.
fn is_email(claim: &str) -> bool {
    fold(claim) == "email"
}

fn has_verified_email(vouch: &Vouch) -> bool {
    vouch.claims.all().get("email_verified") == Some(&Value::Bool(true))
}

/// A setting's path to a claim that may be used.
fn usable(vouch: &Vouch, claim: &str) -> Option<ClaimPath> {
    let path = ClaimPath::parse(claim).ok()?;
    (!is_email(claim) || has_verified_email(vouch)).then_some(path)
}

/// The text of a claim that a setting names.
pub(super) fn mapped_text(vouch: &Vouch, claim: &str) -> Option<String> {
    usable(vouch, claim)?.text(vouch.claims.all())
}

/// What a person is called here, in whichever way she comes: the mapped claim, or the subject.
pub(super) fn name_of(vouch: &Vouch) -> String {
    let claim = vouch.settings.name_claim.as_deref();
    let name = claim.and_then(|claim| mapped_text(vouch, claim));
    session_name(name.as_deref().unwrap_or(vouch.claims.subject()))
}

/// A text as the name of a role's session, with the characters and the length that it may have.
fn session_name(text: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || "=,.@_-".contains(*c);
    let name: String = text.chars().filter(fits).take(MAX_SESSION_NAME).collect();
    if name.len() < 2 { format!("person-{name}") } else { name }
}

/// The roles that groups give, in the order of the mapping; the default for who is in none.
pub(super) fn roles_of(settings: &ProviderSettings, groups: &[String]) -> Vec<String> {
    let mut roles: Vec<String> = Vec::new();
    for entry in settings.group_roles.iter().filter(|entry| groups.contains(&entry.group)) {
        if !roles.contains(&entry.role) {
            roles.push(entry.role.clone());
        }
    }
    if roles.is_empty() { settings.default_role.iter().cloned().collect() } else { roles }
}

/// Tags of the session, by the provider's mapping.
pub(super) fn mapped_tags(vouch: &Vouch) -> Vec<Tag> {
    let tags = vouch.settings.principal_tags.iter().filter_map(|tag| {
        let value = mapped_text(vouch, &tag.claim)?;
        let fits = value.chars().count() <= MAX_TAG_VALUE && !value.chars().any(char::is_control);
        fits.then(|| Tag { key: tag.key.clone(), value })
    });
    tags.collect()
}

/// Claims as condition keys: texts, numbers, flags, and lists of texts. What is larger than a
/// policy can ask about is left out.
pub(super) fn claim_values(vouch: &Vouch) -> Result<BTreeMap<String, Vec<String>>, ApiError> {
    let all = vouch.claims.all();
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let mut found: BTreeMap<String, Vec<String>> = all
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| match value {
            Value::Array(many) => Some((name.clone(), many.iter().filter_map(text).collect())),
            one => Some((name.clone(), vec![text(one)?])),
        })
        .collect();
    found.insert("aud".to_owned(), vec![vouch.claims.audience().to_owned()]);
    if !has_verified_email(vouch) {
        found.retain(|name, _| !is_email(name));
    }
    if vouch.settings.groups_claim.is_some() {
        found.insert("groups".to_owned(), groups_of(vouch)?);
    }
    found.retain(|name, values| {
        let bytes: usize = values.iter().map(String::len).sum();
        name.len() <= MAX_CLAIM_KEYS && bytes <= MAX_CLAIM
    });
    Ok(found.into_iter().take(MAX_CLAIM_KEYS).collect())
}

/// The groups of a token, by the provider's configuration.
///
/// # Errors
/// They are not known in full.
pub(super) fn groups_of(vouch: &Vouch) -> Result<Vec<String>, ApiError> {
    let path = vouch.settings.groups_claim.as_deref().and_then(|claim| usable(vouch, claim));
    let Some(path) = path else { return Ok(Vec::new()) };
    let all = vouch.claims.all();
    if path.of(all).is_none() && has_overage(all) {
        let message = "the identity provider left your groups out, because there are too many \
                       (Entra: \
                       groups overage): assign groups to the application there, or use application \
                       roles (--groups roles)";
        return Err(ApiError::new(ErrorCode::AccessDeniedException, message));
    }
    let separator = vouch.settings.groups_separator.as_ref().and_then(|text| text.chars().next());
    groups(all, &path, separator).ok_or_else(|| {
        let message = format!(
            "the identity provider names more than {MAX_GROUPS} groups of you, and they are not \
             read in \
             part: have it send those alone that count here"
        );
        ApiError::new(ErrorCode::AccessDeniedException, message)
    })
}

/// Whether a token says that its groups are elsewhere, as Entra's do beyond 200 groups.
fn has_overage(claims: &Value) -> bool {
    claims.pointer("/_claim_names/groups").is_some()
        || claims.get("hasgroups") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_entra_left_out_are_noticed() {
        let sources = serde_json::json!({ "src1": { "endpoint": "https://graph.example/x" } });
        for (claims, left_out) in [
            (
                serde_json::json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": sources }),
                true,
            ),
            (serde_json::json!({ "hasgroups": true }), true),
            (serde_json::json!({ "groups": ["g"] }), false),
            (serde_json::json!({}), false),
        ] {
            assert_eq!(has_overage(&claims), left_out, "{claims}");
        }
    }

    #[test]
    fn an_address_is_told_by_the_rule_of_condition_keys() {
        // A key of letters that fold to the same ones is the same key.
        for claim in ["email", "Email", "EMAIL", "ema\u{131}l"] {
            assert!(is_email(claim), "{claim}");
        }
        for claim in ["mail", "e-mail", "email2", "ema\u{130}l"] {
            assert!(!is_email(claim), "{claim}");
        }
    }

    #[test]
    fn the_name_of_a_session_has_the_characters_that_it_may_have() {
        for (text, name) in [
            ("ann@corp.example", "ann@corp.example"),
            ("Ann Lee", "AnnLee"),
            ("ü", "person-"),
            ("a", "person-a"),
        ] {
            assert_eq!(session_name(text), name);
        }
        assert_eq!(session_name(&"x".repeat(80)).len(), MAX_SESSION_NAME);
    }
}
