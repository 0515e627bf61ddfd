//! AssumeRoleWithWebIdentity: a role's credentials for a token of an identity provider.
//!
//! Data flow: the unsigned form -> the token's issuer -> the provider and its keys -> the claims
//! ([`Vouch`]) -> the role's trust policy, asked about them -> the person's row -> a token
//! ([`super::tokens`]).
//!
//! # Invariants
//! - A person is (provider, subject). No other claim makes two tokens one person.
//! - The trust policy alone decides: the holder of a token has no policies of her own yet.
//! - An e-mail address is a condition key only when the provider has verified it.
//!
//! # Not here
//! - The form of tokens: `towline_oidc`. Fetching keys: [`crate::federation`].

use std::collections::BTreeMap;
use std::sync::Arc;

use towline_host::clock::UnixMillis;
use towline_oidc::{Expected, TokenError};
use towline_policy::{NamedPolicy, Policy, evaluate_trust};
use towline_ssm::api::provider::ProviderSettings;
use towline_ssm::api::sts::StsRequest;
use towline_ssm::api::sts_tokens::{AssumedRole, ROLE_SECONDS, WebIdentity, WebIdentityRequest};
use towline_ssm::api::tags::Tag;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::UserName;
use towline_store::{FederatedPerson, IdentityProvider, TagKind};

use super::authz::{Question, asked};
use super::call::{Call, Caller, Federated, Proof, Vouch};
use super::internal::{OrInternal as _, internal};
use super::mapping::{claim_values, mapped_tags, name_of, roles_of};
use super::root::{Root, Vouched};
use super::service::Api;
use super::sts::{check_session_policy, seconds, within};
use super::tags::request_tags;
use super::token::{Holder, Token};
use crate::federation::NotVerified;
use crate::plane::Person;

/// The settings of a stored provider.
pub(super) fn settings_of(provider: &IdentityProvider) -> Result<ProviderSettings, ApiError> {
    serde_json::from_str(&provider.settings)
        .map_err(|error| internal("stored settings of an identity provider", &error))
}

/// An administrator has stopped the provider.
pub(super) fn stopped(provider: &IdentityProvider) -> ApiError {
    let message = format!(
        "the identity provider {} is disabled here: nobody signs in through it until an \
         administrator enables it again",
        provider.name
    );
    ApiError::new(ErrorCode::AccessDeniedException, message)
}

fn refused(error: &TokenError) -> ApiError {
    let code = match error {
        TokenError::Expired => ErrorCode::ExpiredIdentityToken,
        _ => ErrorCode::InvalidIdentityToken,
    };
    ApiError::new(code, error.to_string())
}

impl Api {
    /// Who it is that has the token of an unsigned form.
    ///
    /// # Errors
    /// `InvalidIdentityToken`, `ExpiredTokenException`, `IDPCommunicationError`,
    /// `IDPRejectedClaim`.
    pub(super) async fn web_identity(
        &self,
        fields: &BTreeMap<String, String>,
        now: UnixMillis,
    ) -> Result<Caller, ApiError> {
        let request = WebIdentityRequest::read(fields)?;
        let token = towline_oidc::Token::parse(&request.token).map_err(|error| refused(&error))?;
        let issuer = token.issuer().ok_or_else(|| refused(&TokenError::Lacks("iss")))?;
        let provider = self.store().identity_providers().of_issuer(issuer).await;
        let provider = provider.or_internal("cannot read an identity provider")?;
        let provider = provider.ok_or_else(|| {
            let issuer: String = issuer.chars().take(200).collect();
            let message = format!("no identity provider has the issuer {issuer} here");
            ApiError::new(ErrorCode::InvalidIdentityToken, message)
        })?;
        if provider.is_disabled {
            return Err(ApiError::new(ErrorCode::IDPRejectedClaim, stopped(&provider).message));
        }
        let settings = settings_of(&provider)?;
        let audiences = settings.accepted_audiences();
        let expected = Expected {
            issuer: &provider.issuer,
            audiences: &audiences,
            nonce: None,
            now: now.0.div_euclid(1000),
        };
        let claims = self.parts.providers.verify(&provider.unique_id, token, &expected, now);
        let claims = claims.await.map_err(|error| match error {
            NotVerified::Token(error) => refused(&error),
            NotVerified::Away(error) => {
                ApiError::new(ErrorCode::IDPCommunicationError, error.to_string())
            }
        })?;
        let name = request
            .role_session_name
            .parse()
            .map_err(|error| internal("a checked name", &error))?;
        self.vouched_caller(name, Vouch { provider, settings, claims }).await
    }

    /// A person that a provider vouches for, without a role yet.
    async fn vouched_caller(&self, name: UserName, vouch: Vouch) -> Result<Caller, ApiError> {
        let (id, subject) = (&vouch.provider.unique_id, vouch.claims.subject());
        let person = self.store().identity_providers().person_of(id, subject).await;
        let person = person.or_internal("cannot read a person of an identity provider")?;
        if person.as_ref().is_some_and(|person| person.is_blocked) {
            return Err(blocked());
        }
        let id = person.map(|person| person.id).unwrap_or_default();
        let arn = self.realm().provider_arn(&vouch.provider.issuer);
        Ok(Caller {
            person: Person { id: id.clone(), name: subject.to_owned() },
            name,
            user_id: format!("{arn}:{subject}"),
            arn,
            principal: format!("oidc-provider/{}", vouch.provider.name),
            principal_id: id,
            access_key: String::new(),
            proof: Proof::Token(Box::new(vouch)),
            tags: BTreeMap::new(),
            temporary: None,
        })
    }

    pub(super) async fn assume_role_with_web_identity(
        &self,
        call: &Call,
        body: &[u8],
    ) -> Result<(AssumedRole, WebIdentity), ApiError> {
        let request = WebIdentityRequest::read(&StsRequest::parse(body)?.fields)?;
        call.note("roleArn", &*request.role_arn);
        call.note("roleSessionName", &*request.role_session_name);
        let Proof::Token(vouch) = &call.caller.proof else {
            let message = "AssumeRoleWithWebIdentity is sent without a signature";
            return Err(ApiError::validation(message));
        };
        call.note("subject", vouch.claims.subject());
        call.note("audience", vouch.claims.audience());
        let tags = mapped_tags(vouch);
        let (name, role) = self.role_that_trusts(call, vouch, &request, &tags).await?;
        let duration = request.duration.unwrap_or(ROLE_SECONDS);
        within(duration, role.max_seconds)?;
        check_session_policy(request.policy.as_deref())?;
        let person = self.let_in(vouch, call.now).await?.id;
        let holder = Holder::Role {
            role: name.to_string(),
            unique_id: role.unique_id.clone(),
            session: call.caller.name.to_string(),
        };
        let root = Root::Vouched(Vouched {
            person,
            second_factor: vouch.claims.proves(&vouch.settings.second_factors),
            auth_time: vouch.claims.auth_time(),
            mapped: None,
        });
        let mut token = Token::new(holder, root, call.now, seconds(duration));
        token.policy = request.policy;
        token.tags = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        let credentials = self.mint(token)?;
        call.note("issuedAccessKeyId", &*credentials.access_key_id);
        let identity = WebIdentity {
            audience: vouch.claims.audience().to_owned(),
            provider: vouch.provider.issuer.clone(),
            subject: vouch.claims.subject().to_owned(),
        };
        let session = &call.caller.name;
        Ok((self.assumed(&name, &role.unique_id, session, None, credentials), identity))
    }

    /// The role of a request, if its trust policy lets the token in.
    async fn role_that_trusts(
        &self,
        call: &Call,
        vouch: &Vouch,
        request: &WebIdentityRequest,
        tags: &[Tag],
    ) -> Result<(UserName, towline_store::Role), ApiError> {
        const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
        call.asked(&request.role_arn, false);
        let denied = || {
            let message = format!("not authorized to perform {ACTION} on {}", request.role_arn);
            ApiError::new(ErrorCode::AccessDeniedException, message)
        };
        let name = self.realm().role_of_arn(&request.role_arn).ok_or_else(denied)?;
        let principal = format!("role/{name}");
        let role = self.store().roles().get(&principal).await.or_internal("cannot read a role")?;
        let role = role.ok_or_else(denied)?;
        let trust = Policy::parse(&role.trust)
            .map_err(|error| internal("a stored trust policy does not parse", &error))?;
        let mut question = Question::about(request.role_arn.clone());
        let stored = self.store().tags().of(TagKind::Principal, &principal).await;
        question.tags = stored.or_internal("cannot read tags")?;
        question.facts = facts(&call.caller.arn, vouch, request, tags)?;
        let asked = asked(call, self, ACTION, &question);
        let trust = NamedPolicy::new("trust policy", Arc::new(trust));
        let (said, _) = evaluate_trust(&trust, &asked);
        call.asked(&request.role_arn, said.is_allowed());
        if said.is_allowed() {
            return Ok((name, role));
        }
        call.note("denied", said.to_string());
        Err(denied())
    }

    /// The row of a person who gets credentials, under a name that no other person has.
    pub(super) async fn let_in(
        &self,
        vouch: &Vouch,
        now: UnixMillis,
    ) -> Result<FederatedPerson, ApiError> {
        let (id, subject) = (&vouch.provider.unique_id, vouch.claims.subject());
        let name = name_of(vouch);
        let person = self.store().identity_providers().let_in(id, subject, &name, now).await;
        let person = person.or_internal("cannot store a person of an identity provider")?;
        if person.is_blocked { Err(blocked()) } else { Ok(person) }
    }

    /// The person that a token of this time names, if it is still let in; else why not.
    pub(super) async fn vouched_for(
        &self,
        vouched: &Vouched,
        issued_at: UnixMillis,
    ) -> Result<(Person, Federated), ApiError> {
        let gone = || ended("its identity provider, or the person there, was removed here");
        let store = self.store().identity_providers();
        let person = store.person(&vouched.person).await.or_internal("cannot read a person")?;
        let person = person.ok_or_else(gone)?;
        if person.is_blocked {
            return Err(ended("its person was blocked here"));
        }
        if issued_at <= person.holds_since {
            return Err(ended("its person was blocked here since: sign in again"));
        }
        let provider = store.of_id(&person.provider_id).await;
        let provider = provider.or_internal("cannot read an identity provider")?;
        let provider = provider.ok_or_else(gone)?;
        if provider.is_disabled {
            return Err(ended("its identity provider is disabled here"));
        }
        if issued_at <= provider.holds_since {
            return Err(ended("its identity provider was disabled since: sign in again"));
        }
        if let Some(mapped) = &vouched.mapped {
            let settings = settings_of(&provider)?;
            if settings.client_id.is_none() {
                return Err(ended("its identity provider signs no people in any more"));
            }
            if !roles_of(&settings, &mapped.groups).contains(&mapped.role) {
                let why = format!("the groups of its person give the role {} no more", mapped.role);
                return Err(ended(&why));
            }
        }
        let federated = Federated {
            provider_arn: self.realm().provider_arn(&provider.issuer),
            subject: person.subject.clone(),
            second_factor: vouched.second_factor,
            auth_time: vouched.auth_time,
        };
        Ok((Person { id: person.id, name: person.subject }, federated))
    }
}

/// Credentials that a provider vouched for, and that hold no more.
fn ended(why: &str) -> ApiError {
    let message = format!("this sign-in has ended: {why}");
    ApiError::new(ErrorCode::UnrecognizedClientException, message)
}

pub(super) fn blocked() -> ApiError {
    let message = "this subject of the identity provider is blocked here";
    ApiError::new(ErrorCode::IDPRejectedClaim, message)
}

/// What a trust policy can ask about.
fn facts(
    provider_arn: &str,
    vouch: &Vouch,
    request: &WebIdentityRequest,
    tags: &[Tag],
) -> Result<Vec<(String, Vec<String>)>, ApiError> {
    let session = vec![request.role_session_name.clone()];
    let mut facts = vec![("sts:RoleSessionName".to_owned(), session)];
    facts.extend(
        request.duration.map(|life| ("sts:DurationSeconds".to_owned(), vec![life.to_string()])),
    );
    facts.push(("aws:FederatedProvider".to_owned(), vec![provider_arn.to_owned()]));
    facts.extend(request_tags(tags));
    let issuer = provider_arn.split_once("oidc-provider/").map_or("", |(_, issuer)| issuer);
    let claims = claim_values(vouch)?;
    facts.extend(claims.into_iter().map(|(name, values)| (format!("{issuer}:{name}"), values)));
    Ok(facts)
}
