//! From the provider's code to a person with a role.
//!
//! Data flow: code -> the provider's token endpoint -> ID token (and userinfo for groups) -> claims
//! -> groups -> role -> [`Token`].
//!
//! # Invariants
//! - The ID token is for this gateway's client and for this attempt (nonce), and belongs to the
//!   access token beside it.
//! - Userinfo is believed for the same subject alone, and replaces no claim of the ID token.
//! - A provider that was changed or removed here while it was asked gives nobody a role by what it
//!   was before.

use std::sync::Arc;

use serde_json::Value;
use towline_host::clock::UnixMillis;
use towline_oidc::limits::MAX_DISCOVERY;
use towline_oidc::{Answer, ClaimPath, Claims, Expected};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::IdentityProvider;

use super::super::call::Vouch;
use super::super::internal::OrInternal as _;
use super::super::mapping::{groups_of, mapped_tags, roles_of};
use super::super::root::{Mapped, Root, Vouched};
use super::super::service::Api;
use super::super::sts::seconds;
use super::super::token::{Holder, Token};
use super::super::web_identity::settings_of;
use super::attempt::Attempt;
use super::redeeming::not_answered;
use super::standing::signs_people_in;
use super::start::encoded;
use crate::federation::{Known, NotVerified, Unreachable};
use crate::outbound::Ask;

pub(super) fn refused(why: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidIdentityToken, why)
}

/// A provider that does not answer, and may in a moment.
pub(super) fn away(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::IDPCommunicationError, error.to_string())
}

/// A provider with which nobody signs in before a person has changed something.
pub(super) fn unusable(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::validation(error.to_string())
}

fn unreachable(error: &Unreachable) -> ApiError {
    if error.is_passing { away(error) } else { unusable(error) }
}

impl Api {
    /// Credentials, not minted yet, of the person that a code stands for; who it is, for the audit
    /// line; the provider's answer.
    pub(super) async fn person_with_role(
        &self,
        provider: IdentityProvider,
        attempt: &Attempt,
        code: &str,
        now: UnixMillis,
    ) -> Result<(Token, String, Answer), ApiError> {
        signs_people_in(&provider)?;
        let known = self.known(&provider, now).await?;
        let form = format!(
            "grant_type=authorization_code&code={}&redirect_uri={}&code_verifier={}",
            encoded(code),
            encoded(&self.needed_callback_url(&attempt.callback)?),
            attempt.verifier,
        );
        let answer = self.redeem(&provider, &known, form).await?;
        let nonce = Some(&*attempt.nonce);
        let vouch = self.vouch_of_answer(provider, &known, &answer, nonce, now).await?;
        if !attempt.is_proved_at(vouch.claims.auth_time()) {
            return Err(refused(
                "the identity provider does not say that it asked you again: it ignores max_age, \
                 or \
                 its tokens have no auth_time",
            ));
        }
        let (token, subject) = self.token_of_person(&vouch, attempt.target.role(), now).await?;
        Ok((token, subject, answer))
    }

    /// What an answer of the token endpoint says of somebody, checked.
    pub(super) async fn vouch_of_answer(
        &self,
        provider: IdentityProvider,
        known: &Known,
        answer: &Answer,
        nonce: Option<&str>,
        now: UnixMillis,
    ) -> Result<Vouch, ApiError> {
        let settings = settings_of(&provider)?;
        let id_token =
            answer.id_token.as_deref().ok_or_else(|| refused("the answer has no ID token"))?;
        let token = towline_oidc::Token::parse(id_token).map_err(|e| refused(e.to_string()))?;
        let expected = Expected {
            issuer: &provider.issuer,
            audiences: &[settings.client_id.clone().unwrap_or_default()],
            nonce,
            now: now.0.div_euclid(1000),
        };
        let claims = self.parts.providers.verify(&provider.unique_id, token, &expected, now);
        let claims = claims.await.map_err(|error| match error {
            NotVerified::Token(error) => refused(error.to_string()),
            NotVerified::Away(error) => unreachable(&error),
        })?;
        let access_token = answer.access_token.as_deref().unwrap_or_default();
        claims.check_access_token(access_token).map_err(|e| refused(e.to_string()))?;
        let vouch = Vouch { provider, settings, claims };
        self.with_userinfo(vouch, known, access_token).await
    }

    /// What a provider publishes.
    pub(super) async fn known(
        &self,
        provider: &IdentityProvider,
        now: UnixMillis,
    ) -> Result<Arc<Known>, ApiError> {
        let known = self.parts.providers.of(&provider.unique_id, &provider.issuer, None, now);
        known.await.map_err(|error| unreachable(&error))
    }

    /// Adds claims from userinfo, when the ID token lacks one that the configuration asks for.
    async fn with_userinfo(
        &self,
        vouch: Vouch,
        known: &Known,
        access_token: &str,
    ) -> Result<Vouch, ApiError> {
        let lacks = |claim: &String| {
            ClaimPath::parse(claim).is_ok_and(|path| path.of(vouch.claims.all()).is_none())
        };
        let settings = &vouch.settings;
        let tags = settings.principal_tags.iter().map(|tag| &tag.claim);
        let mut wanted = tags.chain(&settings.groups_claim).chain(&settings.name_claim);
        let url = known.discovery.userinfo_endpoint.as_deref();
        let (Some(url), true, false) = (url, wanted.any(lacks), access_token.is_empty()) else {
            return Ok(vouch);
        };
        let bearer = format!("Bearer {access_token}");
        let headers = [("authorization", bearer.as_str())];
        let ask = || Ask { url, headers: &headers, most: MAX_DISCOVERY, ..Ask::default() };
        let answer = self.ask_patiently(ask).await.map_err(|error| not_answered(&error))?;
        let more: Value = serde_json::from_slice(&answer)
            .map_err(|_| refused("the provider's userinfo is no JSON"))?;
        let claims: Claims =
            vouch.claims.with_userinfo(more).map_err(|e| refused(e.to_string()))?;
        Ok(Vouch { claims, ..vouch })
    }

    /// The credentials of a person by the mapping of her groups.
    pub(super) async fn token_of_person(
        &self,
        vouch: &Vouch,
        role: Option<&str>,
        now: UnixMillis,
    ) -> Result<(Token, String), ApiError> {
        self.unchanged(&vouch.provider).await?;
        let groups = groups_of(vouch)?;
        let roles = roles_of(&vouch.settings, &groups);
        let denied = |why: String| ApiError::new(ErrorCode::AccessDeniedException, why);
        let chosen = match role {
            None => roles.first(),
            Some(role) => roles.iter().find(|one| *one == role),
        };
        let chosen = chosen.ok_or_else(|| match role {
            Some(role) if !roles.is_empty() => denied(format!(
                "your groups do not give the role {role}; they give {}",
                roles.join(", ")
            )),
            _ => denied("none of your groups gives a role here: ask an administrator".to_owned()),
        })?;
        let stored = self.store().roles().get(&format!("role/{chosen}")).await;
        let stored = stored.or_internal("cannot read a role")?;
        let stored = stored.ok_or_else(|| denied(format!("the role {chosen} is gone")))?;
        let named: Vec<String> = groups
            .into_iter()
            .filter(|group| vouch.settings.group_roles.iter().any(|entry| entry.group == *group))
            .collect();
        let person = self.let_in(vouch, now).await?;
        let (role, session) = (chosen.clone(), person.name);
        let holder = Holder::Role { role, unique_id: stored.unique_id, session };
        let root = Root::Vouched(Vouched {
            person: person.id,
            second_factor: vouch.claims.proves(&vouch.settings.second_factors),
            auth_time: vouch.claims.auth_time(),
            mapped: Some(Mapped { role: chosen.clone(), groups: named }),
        });
        let mut token = Token::new(holder, root, now, seconds(stored.max_seconds));
        token.tags = mapped_tags(vouch).into_iter().map(|tag| (tag.key, tag.value)).collect();
        Ok((token, vouch.claims.subject().to_owned()))
    }
}
