//! Identity providers (`Towline.<Operation>`): OpenID Connect issuers whose tokens are accepted,
//! and the people and jobs that they vouched for.
//!
//! # Invariants
//! - The client's secret goes in and never comes out.
//!
//! # Not here
//! - Tokens: `towline_oidc`. Whether a role trusts a provider: its trust policy.

use serde::{Deserialize, Serialize};

use super::admin::RightsRemoved;
use super::tags::check_key;
use super::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::ids::UserName;

/// Longest issuer and longest path to a claim, characters.
const MAX_TEXT: usize = 1024;
/// Entries of each list of a provider.
const MAX_ENTRIES: usize = 100;

/// A tag of the principal that comes from a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClaimTag {
    /// Key of the tag, as in `aws:PrincipalTag/KEY`.
    pub key: String,
    /// Name of the claim, or names with dots between them.
    pub claim: String,
}

/// A group of the provider, and the role that it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GroupRole {
    /// The group, exactly as the claim has it.
    pub group: String,
    /// The name of the role.
    pub role: String,
}

/// What can be set of a provider, apart from its issuer and secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProviderSettings {
    /// The gateway's own client there, for people who sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Audiences of tokens of jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Scopes that are asked for besides `openid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The claim that people are called by; `sub` when absent. It decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_claim: Option<String>,
    /// Tags from claims.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principal_tags: Vec<ClaimTag>,
    /// The claim with the groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// What stands between groups that are one string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_separator: Option<String>,
    /// Which role each group gives to people who sign in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_roles: Vec<GroupRole>,
    /// The role of who is in none of these groups; none when absent: such people are not let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_role: Option<String>,
    /// Values of `amr` or `acr` that prove a second factor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub second_factors: Vec<String>,
    /// `acr_values` that are asked for where a policy wants a second factor proved just now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<String>,
}

impl ProviderSettings {
    fn check(&self, v: &mut Violations) {
        let length = |v: &mut Violations, name: &str, text: &str| {
            v.length(name, text, 1, MAX_TEXT);
            v.shown(name, text, false);
        };
        for (name, number) in [
            ("Audiences", self.audiences.len()),
            ("Scopes", self.scopes.len()),
            ("PrincipalTags", self.principal_tags.len()),
            ("GroupRoles", self.group_roles.len()),
            ("SecondFactors", self.second_factors.len()),
            ("AcrValues", self.acr_values.len()),
        ] {
            v.items(name, number, 0, MAX_ENTRIES);
        }
        for (name, text) in [
            ("ClientId", &self.client_id),
            ("NameClaim", &self.name_claim),
            ("GroupsClaim", &self.groups_claim),
        ] {
            text.iter().for_each(|text| length(v, name, text));
        }
        v.optional_length("GroupsSeparator", self.groups_separator.as_ref(), 1, 1);
        self.audiences.iter().for_each(|one| length(v, "Audiences", one));
        self.second_factors.iter().for_each(|one| length(v, "SecondFactors", one));
        for (name, words) in [("Scopes", &self.scopes), ("AcrValues", &self.acr_values)] {
            for word in words {
                let good = word.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b));
                v.require(good && !word.is_empty(), name, "be words without spaces and quotes");
            }
        }
        v.distinct("PrincipalTags", self.principal_tags.iter().map(|tag| &*tag.key));
        for tag in &self.principal_tags {
            check_key(v, "PrincipalTags.Key", &tag.key);
            length(v, "PrincipalTags.Claim", &tag.claim);
        }
        let is_role = |name: &str| name.parse::<UserName>().is_ok();
        for entry in &self.group_roles {
            length(v, "GroupRoles.Group", &entry.group);
            v.require(is_role(&entry.role), "GroupRoles.Role", "be the name of a role");
        }
        let default = self.default_role.as_ref();
        v.require(default.is_none_or(|role| is_role(role)), "DefaultRole", "be the name of a role");
        let named = self.client_id.is_some() || !self.audiences.is_empty();
        v.require(named, "Audiences", "be given, or a ClientId: a token is for somebody");
    }

    /// Audiences that tokens of jobs may have: also that of the gateway's own client.
    #[must_use]
    pub fn accepted_audiences(&self) -> Vec<String> {
        self.audiences.iter().chain(&self.client_id).cloned().collect()
    }
}

/// Makes an identity provider known.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateIdentityProviderRequest {
    /// Its name here.
    pub provider_name: String,
    /// Its issuer: the URL before `/.well-known/openid-configuration`, as tokens have it in `iss`.
    pub issuer: String,
    /// The secret of the gateway's client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Where answers of the provider come to: `Own` (when absent) or `Shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_address: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub settings: ProviderSettings,
}

impl core::fmt::Debug for CreateIdentityProviderRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CreateIdentityProviderRequest")
            .field("provider_name", &self.provider_name)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

fn check_name(v: &mut Violations, name: &str) {
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let good = good && (1..=64).contains(&name.len());
    v.require(good, "ProviderName", "be 1 to 64 letters, digits, - or _");
}

fn check_redirect(v: &mut Violations, address: Option<&String>) {
    if let Some(address) = address {
        v.one_of("RedirectAddress", address, &[OWN, SHARED]);
    }
}

impl Request for CreateIdentityProviderRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.provider_name);
        v.length("Issuer", &self.issuer, 8, MAX_TEXT);
        v.shown("Issuer", &self.issuer, false);
        v.optional_length("ClientSecret", self.client_secret.as_ref(), 1, MAX_TEXT);
        check_redirect(v, self.redirect_address.as_ref());
        self.settings.check(v);
    }
}

/// Changes an identity provider: all its settings are replaced. With a redirect address and nothing
/// else, that alone is changed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateIdentityProviderRequest {
    /// Its name.
    pub provider_name: String,
    /// The new secret of the gateway's client; as before when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Where answers of the provider come to, `Own` or `Shared`; as before when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_address: Option<String>,
    /// The new settings.
    #[serde(flatten)]
    pub settings: ProviderSettings,
    /// End the sessions of its people, who may have lost a role; they go on when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl core::fmt::Debug for UpdateIdentityProviderRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UpdateIdentityProviderRequest")
            .field("provider_name", &self.provider_name)
            .finish_non_exhaustive()
    }
}

impl UpdateIdentityProviderRequest {
    /// Whether it changes the redirect address alone.
    #[must_use]
    pub fn is_move(&self) -> bool {
        self.redirect_address.is_some()
            && self.client_secret.is_none()
            && self.settings == ProviderSettings::default()
    }
}

impl Request for UpdateIdentityProviderRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.provider_name);
        v.optional_length("ClientSecret", self.client_secret.as_ref(), 1, MAX_TEXT);
        check_redirect(v, self.redirect_address.as_ref());
        if !self.is_move() {
            self.settings.check(v);
        }
    }
}

/// Names an identity provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProviderRequest {
    /// Its name.
    pub provider_name: String,
    /// End the sessions that hang on it; as the gateway is set when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for ProviderRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.provider_name);
    }
}

/// Stops an identity provider at once, or lets it in again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateIdentityProviderStatusRequest {
    /// The provider's name.
    pub provider_name: String,
    /// `Enabled` or `Disabled`.
    pub status: String,
    /// End the sessions that hang on it; as the gateway is set when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for UpdateIdentityProviderStatusRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.provider_name);
        v.one_of("Status", &self.status, &[ENABLED, DISABLED]);
    }
}

/// What became of what hangs on a provider that was stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateIdentityProviderStatusResult {
    /// The sessions and commands of its people.
    #[serde(flatten)]
    pub removed: RightsRemoved,
    /// Gateways at work beside this one that are of a version which knows no stop, by name: they
    /// let the provider's people in until they are upgraded or stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub towline_older_gateways: Vec<String>,
}

/// The status of a provider that vouches for people and jobs.
pub const ENABLED: &str = "Enabled";
/// The status of a provider that an administrator has stopped.
pub const DISABLED: &str = "Disabled";

/// The redirect address of one provider: an answer that comes there is of this one or of nobody.
pub const OWN: &str = "Own";
/// The redirect address of providers of an older version.
pub const SHARED: &str = "Shared";

fn enabled() -> String {
    ENABLED.to_owned()
}

fn shared() -> String {
    SHARED.to_owned()
}

/// An identity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityProvider {
    /// Its name here.
    pub provider_name: String,
    /// What trust policies name in `Principal.Federated`.
    pub arn: String,
    /// Its issuer.
    pub issuer: String,
    /// Whether there is a secret of the gateway's client.
    pub has_client_secret: bool,
    /// `Enabled` or `Disabled`.
    #[serde(default = "enabled")]
    pub status: String,
    /// When it was made.
    pub created_date: EpochSeconds,
    /// `Own` or `Shared`.
    #[serde(default = "shared")]
    pub redirect_address: String,
    /// Where its answers come to; it is registered with the client. Absent without a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// What has to be registered before `RedirectAddress` becomes `Own`. Absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_redirect_uri: Option<String>,
    /// The settings.
    #[serde(flatten)]
    pub settings: ProviderSettings,
}

/// One identity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityProviderResult {
    /// The provider.
    pub identity_provider: IdentityProvider,
}

/// A changed identity provider, and what became of the sessions of its people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateIdentityProviderResult {
    /// The provider.
    pub identity_provider: IdentityProvider,
    /// Sessions of its people that go on.
    #[serde(default)]
    pub live_sessions: u64,
    /// Sessions of its people that were ended.
    #[serde(default)]
    pub ended_sessions: u64,
    /// Commands of its people that go on.
    #[serde(default, skip_serializing_if = "super::admin::is_zero")]
    pub towline_open_commands: u64,
}

/// Asks for all identity providers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListIdentityProvidersRequest {}

impl Request for ListIdentityProvidersRequest {
    fn check(&self, _: &mut Violations) {}
}

/// All identity providers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListIdentityProvidersResult {
    /// By name.
    pub identity_providers: Vec<IdentityProvider>,
}

/// Asks for people and jobs of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListFederatedPeopleRequest {
    /// The provider's name.
    pub provider_name: String,
    /// Page size, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// From the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

impl Request for ListFederatedPeopleRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.provider_name);
        v.range("MaxResults", self.max_results, 1, 1000);
    }
}

/// A person or job that a provider vouched for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FederatedPerson {
    /// Its id here.
    pub person_id: String,
    /// Its subject at the provider.
    pub subject: String,
    /// What the provider calls it.
    pub name: String,
    /// `Active` or `Blocked`.
    pub status: String,
    /// When it came first.
    pub created_date: EpochSeconds,
    /// When it last got credentials.
    pub last_used_date: EpochSeconds,
}

/// People and jobs of a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListFederatedPeopleResult {
    /// By id.
    pub people: Vec<FederatedPerson>,
    /// For the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Blocks a person, or lets it in again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateFederatedPersonRequest {
    /// The provider's name.
    pub provider_name: String,
    /// Its subject there.
    pub subject: String,
    /// `Active` or `Blocked`.
    pub status: String,
    /// End its sessions; as the gateway is set when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

impl Request for UpdateFederatedPersonRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.provider_name);
        v.length("Subject", &self.subject, 1, 255);
        v.one_of("Status", &self.status, &["Active", "Blocked"]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_provider_without_an_audience_or_with_a_wrong_member_is_refused() {
        let good = r#"{"ProviderName":"ci","Issuer":"https://id.example","Audiences":["towline"]}"#;
        let read: CreateIdentityProviderRequest = parse(good.as_bytes()).unwrap();
        assert_eq!(read.settings.accepted_audiences(), ["towline"]);
        for (from, to, named) in [
            (r#","Audiences":["towline"]"#, "", "Audiences"),
            (r#""ci""#, r#""c/i""#, "ProviderName"),
            (r#"["towline"]"#, r#"["towline"],"DefaultRole":"a b""#, "DefaultRole"),
            (r#"["towline"]"#, r#"["towline"],"Scopes":["a b"]"#, "Scopes"),
            (
                r#"["towline"]"#,
                r#"["towline"],"PrincipalTags":[{"Key":"Team","Claim":"a"},{"Key":"team","Claim":"b"}]"#,
                "PrincipalTags",
            ),
            (
                r#"["towline"]"#,
                r#"["towline"],"PrincipalTags":[{"Key":"AWS:Team","Claim":"a"}]"#,
                "aws:",
            ),
        ] {
            let body = good.replace(from, to);
            let error = parse::<CreateIdentityProviderRequest>(body.as_bytes()).unwrap_err();
            assert!(error.message.contains(named), "{body}: {error}");
        }
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let request = CreateIdentityProviderRequest {
            client_secret: Some("hush".into()),
            ..CreateIdentityProviderRequest::default()
        };
        assert!(!format!("{request:?}").contains("hush"));
    }
}
