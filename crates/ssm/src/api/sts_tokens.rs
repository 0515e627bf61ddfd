//! Temporary credentials: AssumeRole, AssumeRoleWithWebIdentity and GetSessionToken, from form
//! fields to XML.
//!
//! Data flow: [`super::sts::StsRequest::fields`] -> a request that keeps its limits -> the gateway
//! -> [`TemporaryCredentials`] -> XML.
//!
//! # Invariants
//! - Secret and token are in exactly one shape, and not in its `Debug`.
//!
//! # Not here
//! - No managed policies: `PolicyArns` and what else of the model is not served is refused.

use core::fmt;
use std::collections::BTreeMap;

use towline_policy::fold;

use super::Violations;
use super::sts::{NAMESPACE, element, escape};
use super::tags::{Tag, check_tags};
use crate::clock::{EpochSeconds, format_iso8601, parse_iso8601};
use crate::error::ApiError;
use crate::ids::UserName;

/// Life of credentials that can be asked for, seconds: 15 minutes to 36 hours; a role may have 12
/// hours at the most.
pub const SECONDS: core::ops::RangeInclusive<i64> = 900..=129_600;
/// Life of a session token that says nothing, seconds: 12 hours, as at AWS.
pub const SESSION_TOKEN_SECONDS: i64 = 43_200;
/// Life of a role's credentials that says nothing, seconds: an hour, as at AWS.
pub const ROLE_SECONDS: i64 = 3_600;
/// Longest session policy, characters, as at AWS.
pub const MAX_SESSION_POLICY: usize = 2048;
/// Longest token of an identity provider, characters.
pub const MAX_WEB_IDENTITY_TOKEN: usize = 16 * 1024;
/// Most session tags, as at AWS.
pub const MAX_SESSION_TAGS: usize = 50;

/// Asks for credentials of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssumeRoleRequest {
    /// The role.
    pub role_arn: String,
    /// Who it is that holds it; goes into the ARN of the session.
    pub role_session_name: String,
    /// Narrows what the session may do.
    pub policy: Option<String>,
    /// Seconds; an hour when absent.
    pub duration: Option<i64>,
    /// A word that the trust policy may ask for.
    pub external_id: Option<String>,
    /// Who is really behind it, for the audit trail.
    pub source_identity: Option<String>,
    /// Tags of the session.
    pub tags: Vec<Tag>,
    /// Keys of tags that further sessions made with this one inherit.
    pub transitive_tag_keys: Vec<String>,
    /// The serial number of a second factor.
    pub serial_number: Option<String>,
    /// Its code.
    pub token_code: Option<String>,
}

/// Asks for temporary credentials of the caller itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetSessionTokenRequest {
    /// Seconds; 12 hours when absent.
    pub duration: Option<i64>,
    /// The serial number of a second factor.
    pub serial_number: Option<String>,
    /// Its code.
    pub token_code: Option<String>,
}

/// Asks for credentials of a role for a token of an identity provider.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WebIdentityRequest {
    /// The role.
    pub role_arn: String,
    /// Who it is that holds it; goes into the ARN of the session.
    pub role_session_name: String,
    /// The provider's token: a secret.
    pub token: String,
    /// Narrows what the session may do.
    pub policy: Option<String>,
    /// Seconds; an hour when absent.
    pub duration: Option<i64>,
}

impl fmt::Debug for WebIdentityRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIdentityRequest")
            .field("role_arn", &self.role_arn)
            .field("role_session_name", &self.role_session_name)
            .finish_non_exhaustive()
    }
}

impl WebIdentityRequest {
    /// From the fields of a form.
    ///
    /// # Errors
    /// As [`AssumeRoleRequest::read`].
    pub fn read(fields: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let (mut fields, mut v) = (Fields::new(fields), Violations::default());
        let request = Self {
            role_arn: fields.take("RoleArn").unwrap_or_default(),
            role_session_name: fields.take("RoleSessionName").unwrap_or_default(),
            token: fields.take("WebIdentityToken").unwrap_or_default(),
            policy: fields.take("Policy"),
            duration: fields.seconds(&mut v),
        };
        v.length("RoleArn", &request.role_arn, 20, 2048);
        let name = &request.role_session_name;
        let good = name.len() >= 2 && name.parse::<UserName>().is_ok();
        v.require(good, "RoleSessionName", "be 2 to 64 letters, digits or any of +=,.@_-");
        v.length("WebIdentityToken", &request.token, 4, MAX_WEB_IDENTITY_TOKEN);
        v.optional_length("Policy", request.policy.as_ref(), 1, MAX_SESSION_POLICY);
        fields.finish(v).map(|()| request)
    }
}

/// The fields of a form, taken one by one; what is left over is not served.
struct Fields<'a> {
    left: BTreeMap<&'a str, &'a str>,
}

impl<'a> Fields<'a> {
    fn new(fields: &'a BTreeMap<String, String>) -> Self {
        Self { left: fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect() }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.left.remove(name).map(str::to_owned)
    }

    fn seconds(&mut self, v: &mut Violations) -> Option<i64> {
        let text = self.take("DurationSeconds")?;
        let number = text.parse().ok();
        v.require(number.is_some(), "DurationSeconds", "be a number");
        v.range("DurationSeconds", number, *SECONDS.start(), *SECONDS.end());
        number
    }

    /// `Name.member.1`, `Name.member.2` and so on.
    fn list(&mut self, name: &str, most: usize) -> Vec<String> {
        (1..=most + 1).map_while(|at| self.take(&format!("{name}.member.{at}"))).collect()
    }

    fn finish(self, mut v: Violations) -> Result<(), ApiError> {
        if let Some(name) = self.left.keys().next() {
            // Ignored, a `PolicyArns` would give more than was asked for.
            let name: String =
                name.chars().take(64).filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
            v.add(&name, "be left out: this gateway does not serve it");
        }
        v.into_result()
    }
}

impl AssumeRoleRequest {
    /// From the fields of a form.
    ///
    /// # Errors
    /// `ValidationException` for a missing member, a broken limit, or a member that is not served.
    pub fn read(fields: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let (mut fields, mut v) = (Fields::new(fields), Violations::default());
        let mut tags = Vec::new();
        for at in 1..=MAX_SESSION_TAGS + 1 {
            let Some(key) = fields.take(&format!("Tags.member.{at}.Key")) else { break };
            let value = fields.take(&format!("Tags.member.{at}.Value")).unwrap_or_default();
            tags.push(Tag { key, value });
        }
        let request = Self {
            role_arn: fields.take("RoleArn").unwrap_or_default(),
            role_session_name: fields.take("RoleSessionName").unwrap_or_default(),
            policy: fields.take("Policy"),
            duration: fields.seconds(&mut v),
            external_id: fields.take("ExternalId"),
            source_identity: fields.take("SourceIdentity"),
            tags,
            transitive_tag_keys: fields.list("TransitiveTagKeys", MAX_SESSION_TAGS),
            serial_number: fields.take("SerialNumber"),
            token_code: fields.take("TokenCode"),
        };
        request.check(&mut v);
        fields.finish(v).map(|()| request)
    }

    fn check(&self, v: &mut Violations) {
        v.length("RoleArn", &self.role_arn, 20, 2048);
        let name = &self.role_session_name;
        let good = name.len() >= 2 && name.parse::<UserName>().is_ok();
        v.require(good, "RoleSessionName", "be 2 to 64 letters, digits or any of +=,.@_-");
        v.optional_length("Policy", self.policy.as_ref(), 1, MAX_SESSION_POLICY);
        v.optional_length("ExternalId", self.external_id.as_ref(), 2, 1224);
        if let Some(source) = &self.source_identity {
            let good = source.len() >= 2 && source.parse::<UserName>().is_ok();
            v.require(good, "SourceIdentity", "be 2 to 64 letters, digits or any of +=,.@_-");
        }
        v.items("Tags", self.tags.len(), 0, MAX_SESSION_TAGS);
        check_tags(v, &self.tags);
        v.items("TransitiveTagKeys", self.transitive_tag_keys.len(), 0, MAX_SESSION_TAGS);
        v.distinct("TransitiveTagKeys", self.transitive_tag_keys.iter().map(String::as_str));
        let tagged = |key: &String| self.tags.iter().any(|tag| fold(&tag.key) == fold(key));
        v.require(
            self.transitive_tag_keys.iter().all(tagged),
            "TransitiveTagKeys",
            "be keys of Tags",
        );
    }
}

impl GetSessionTokenRequest {
    /// From the fields of a form.
    ///
    /// # Errors
    /// As [`AssumeRoleRequest::read`].
    pub fn read(fields: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let (mut fields, mut v) = (Fields::new(fields), Violations::default());
        let duration = fields.seconds(&mut v);
        let (serial_number, token_code) = (fields.take("SerialNumber"), fields.take("TokenCode"));
        fields.finish(v).map(|()| Self { duration, serial_number, token_code })
    }
}

/// Credentials for a time.
#[derive(Clone, PartialEq)]
pub struct TemporaryCredentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// Goes with each request.
    pub session_token: String,
    /// Until when.
    pub expiration: EpochSeconds,
}

impl fmt::Debug for TemporaryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl TemporaryCredentials {
    fn xml(&self) -> String {
        format!(
            "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}\
             </SessionToken><Expiration>{}</Expiration></Credentials>",
            escape(&self.access_key_id),
            escape(&self.secret_access_key),
            escape(&self.session_token),
            format_iso8601(self.expiration.secs())
        )
    }

    /// The answer of GetSessionToken.
    #[must_use]
    pub fn to_session_token_xml(&self, request_id: &str) -> String {
        answer("GetSessionToken", &self.xml(), request_id)
    }

    /// Takes the credentials out of either answer, at the client.
    #[must_use]
    pub fn from_xml(text: &str) -> Option<(Self, String)> {
        let expiration = element(text, "Expiration")?;
        let credentials = Self {
            access_key_id: element(text, "AccessKeyId")?,
            secret_access_key: element(text, "SecretAccessKey")?,
            session_token: element(text, "SessionToken")?,
            expiration: EpochSeconds::from_secs(parse_iso8601(&expiration)?),
        };
        Some((credentials, expiration))
    }
}

/// Credentials of a role, and who holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct AssumedRole {
    /// The credentials.
    pub credentials: TemporaryCredentials,
    /// ARN of the session.
    pub arn: String,
    /// Id of the role, a colon, the session's name.
    pub id: String,
    /// Percentage of the largest token that this one takes.
    pub packed_size: u8,
    /// As it was asked for.
    pub source_identity: Option<String>,
}

impl AssumedRole {
    /// The answer of AssumeRole.
    #[must_use]
    pub fn to_xml(&self, request_id: &str) -> String {
        let source = self.source_identity.as_ref().map_or(String::new(), |source| {
            format!("<SourceIdentity>{}</SourceIdentity>", escape(source))
        });
        let result = format!(
            "{}<AssumedRoleUser><AssumedRoleId>{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>\
             <PackedPolicySize>{}</PackedPolicySize>{source}",
            self.credentials.xml(),
            escape(&self.id),
            escape(&self.arn),
            self.packed_size
        );
        answer("AssumeRole", &result, request_id)
    }
}

/// What the answer of AssumeRoleWithWebIdentity adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentity {
    /// The token's audience.
    pub audience: String,
    /// The token's issuer.
    pub provider: String,
    /// The token's subject.
    pub subject: String,
}

impl AssumedRole {
    /// The answer of AssumeRoleWithWebIdentity.
    #[must_use]
    pub fn to_web_identity_xml(&self, identity: &WebIdentity, request_id: &str) -> String {
        let result = format!(
            "{}<AssumedRoleUser><AssumedRoleId>{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>\
             <PackedPolicySize>{}</PackedPolicySize><Audience>{}</Audience><Provider>{}</Provider>\
             <SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken>",
            self.credentials.xml(),
            escape(&self.id),
            escape(&self.arn),
            self.packed_size,
            escape(&identity.audience),
            escape(&identity.provider),
            escape(&identity.subject),
        );
        answer("AssumeRoleWithWebIdentity", &result, request_id)
    }
}

fn answer(operation: &str, result: &str, request_id: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>{result}</{operation}Result><ResponseMetadata>\
         <RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
        escape(request_id)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let all = [("RoleArn", "arn:aws:iam::000000000000:role/ops"), ("RoleSessionName", "ann")];
        all.iter()
            .chain(pairs)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_form_becomes_a_request() {
        let form = fields(&[
            ("DurationSeconds", "900"),
            ("Tags.member.1.Key", "Team"),
            ("Tags.member.1.Value", "edge"),
            ("TransitiveTagKeys.member.1", "Team"),
        ]);
        let request = AssumeRoleRequest::read(&form).unwrap();
        assert_eq!(
            (request.duration, request.tags.len(), request.transitive_tag_keys.len()),
            (Some(900), 1, 1)
        );
    }

    #[test]
    fn what_breaks_a_limit_or_is_not_served_is_named() {
        for (name, value) in [
            ("DurationSeconds", "899"),
            ("DurationSeconds", "soon"),
            ("RoleSessionName", "a b"),
            ("RoleSessionName", "a"),
            ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/X"),
            ("Tags.member.1.Key", "aws:x"),
            ("Tags.member.2.Key", "hole"),
            ("TransitiveTagKeys.member.1", "Team"),
        ] {
            let error = AssumeRoleRequest::read(&fields(&[(name, value)])).unwrap_err();
            assert_eq!(error.code, ErrorCode::ValidationException);
            assert!(error.message.contains(name.split('.').next().unwrap()), "{name}: {error}");
        }
    }

    #[test]
    fn credentials_survive_their_xml_and_do_not_show_in_debug_output() {
        let credentials = TemporaryCredentials {
            access_key_id: "ASIA".into(),
            secret_access_key: "a+/b".into(),
            session_token: "t&t".into(),
            expiration: EpochSeconds::from_millis(1_000_000),
        };
        let (read, _) =
            TemporaryCredentials::from_xml(&credentials.to_session_token_xml("r")).unwrap();
        assert_eq!(read, credentials);
        assert!(!format!("{credentials:?}").contains("t&t"));
    }
}
