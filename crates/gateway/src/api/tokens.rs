//! Temporary credentials: made, and proven when they come back.
//!
//! Data flow: who holds them, for how long, under which session policy -> sealed under the store
//! key -> the session token that the client sends with each request -> opened again -> [`Caller`].
//! Nothing is stored: a token is its own row.
//!
//! # Invariants
//! - A token is bound to its access key: the secret in it opens for no other.
//! - Credentials end with what they were made from: the long-lived key that began the chain and its
//!   user, or the identity provider, its person and the mapping to a role; the role of that unique
//!   id; the approved request. Any of these switched off or gone, and they are refused.
//!
//! # Not here
//! - Whether somebody may have them: [`super::sts`] and [`super::access`].

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_policy::fold;
use towline_ssm::api::sts_tokens::TemporaryCredentials;
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::{AccessKeyId, SecretAccessKey, UserName};
use towline_store::TagKind;

use super::access_policy::policy_of;
use super::call::{Caller, Federated, Proof, Temporary};
use super::internal::{OrInternal as _, internal};
use super::root::Root;
use super::service::Api;
use super::token::{Holder, Token, tag};
use crate::limits;
use crate::plane::Person;

/// A role's session, as a token holds it.
struct RoleSession {
    role: String,
    /// The id of the role when it was assumed: a role made again has another one.
    unique_id: String,
    /// The session's name.
    session: String,
    tags: BTreeMap<String, String>,
}

/// In place of a time: of a long-lived key, which was not issued by itself.
pub(super) const LASTING: UnixMillis = UnixMillis(0);

/// Given with a key that was disabled later: it stays over when the key is enabled again.
fn disabled_since() -> ApiError {
    ApiError::new(
        ErrorCode::UnrecognizedClientException,
        "these credentials are over: their access key was disabled since; ask for new ones",
    )
}

fn unknown() -> ApiError {
    ApiError::new(
        ErrorCode::UnrecognizedClientException,
        "the access key or security token is not valid here",
    )
}

/// The person behind a token, if it still has the name that the token holds.
fn named(person: Person, name: &str) -> Result<Person, ApiError> {
    if person.name == name { Ok(person) } else { Err(unknown()) }
}

fn expired(why: &str) -> ApiError {
    ApiError::new(ErrorCode::ExpiredTokenException, why)
}

impl Api {
    /// Makes the credentials of a token.
    pub(super) fn mint(&self, mut token: Token) -> Result<TemporaryCredentials, ApiError> {
        let id =
            AccessKeyId::temporary_from_random(entropy::random().or_internal("no access key id")?);
        let secret = SecretAccessKey::from_random(entropy::random().or_internal("no secret")?);
        token.secret = secret.expose().to_owned();
        let text = serde_json::to_vec(&token)
            .map_err(|error| internal("a token cannot be written", &error))?;
        let sealed = self
            .parts
            .vault
            .seal(&self.sealed_name(id.as_str()), &text)
            .or_internal("cannot seal a token")?;
        let session_token = STANDARD_NO_PAD.encode(sealed);
        if session_token.len() > limits::MAX_SESSION_TOKEN {
            return Err(ApiError::validation("session policy and tags are too large together"));
        }
        Ok(TemporaryCredentials {
            access_key_id: id.to_string(),
            secret_access_key: secret.expose().to_owned(),
            session_token,
            expiration: EpochSeconds::from_millis(token.expires_at),
        })
    }

    /// What a token is sealed for. Long-lived secrets are sealed for the bare key: neither opens as
    /// the other. After a restore it is another name, and no older token opens.
    fn sealed_name(&self, access_key: &str) -> String {
        self.parts.vault.given_out(&format!("token {access_key}"))
    }

    /// Opens a token that came with this access key.
    ///
    /// # Errors
    /// `UnrecognizedClientException` for what was not made here for this key,
    /// `ExpiredTokenException` when it is over.
    pub(super) fn open_token(
        &self,
        access_key: &str,
        text: &str,
        now: UnixMillis,
    ) -> Result<Token, ApiError> {
        if text.len() > limits::MAX_SESSION_TOKEN {
            return Err(unknown());
        }
        let sealed = STANDARD_NO_PAD.decode(text).map_err(|_| unknown())?;
        let opened =
            self.parts.vault.open(&self.sealed_name(access_key), &sealed).map_err(|_| unknown())?;
        let token: Token = serde_json::from_slice(&opened).map_err(|_| unknown())?;
        if now.0 >= token.expires_at {
            return Err(expired("The security token included in the request is expired"));
        }
        Ok(token)
    }

    /// Whose request a proven token makes it.
    pub(super) async fn holder(
        &self,
        token: Token,
        access_key: String,
    ) -> Result<Caller, ApiError> {
        let issued_at = UnixMillis(token.issued_at);
        let (person, federated) = self.root_of(&token.root, issued_at).await?;
        let mut temporary = Temporary {
            issued_at,
            root: token.root.clone(),
            federated,
            policy: token.policy.clone(),
            transitive: token
                .transitive
                .iter()
                .map(|key| (key.clone(), tag(&token.tags, key).cloned().unwrap_or_default()))
                .collect(),
            source_identity: token.source_identity.clone(),
            access: None,
            second_factor_at: self.still_proved(&person.name, token.second_factor.as_ref()).await?,
            token: Box::new(token.clone()),
        };
        match token.holder {
            Holder::User { name } => {
                self.user(named(person, &name)?, access_key, Some(temporary)).await
            }
            Holder::Access { name, request } => {
                let person = named(person, &name)?;
                temporary.access = Some(self.granted_access(&person, request).await?);
                self.user(person, access_key, Some(temporary)).await
            }
            Holder::RoleAccess { role, unique_id, session, request } => {
                temporary.access = Some(self.granted_access(&person, request).await?);
                let role = RoleSession { role, unique_id, session, tags: token.tags };
                self.role_session(role, person, access_key, temporary).await
            }
            Holder::Role { role, unique_id, session } => {
                let role = RoleSession { role, unique_id, session, tags: token.tags };
                self.role_session(role, person, access_key, temporary).await
            }
        }
    }

    /// The session of a role that is still the one that was assumed.
    async fn role_session(
        &self,
        session: RoleSession,
        person: Person,
        access_key: String,
        temporary: Temporary,
    ) -> Result<Caller, ApiError> {
        let RoleSession { role, unique_id, session, tags: of_session } = session;
        let principal = format!("role/{role}");
        let row = self.store().roles().get(&principal).await.or_internal("cannot read a role")?;
        row.filter(|row| row.unique_id == unique_id).ok_or_else(unknown)?;
        let tags = self.store().tags().of(TagKind::Principal, &principal).await;
        let mut tags = tags.or_internal("cannot read tags")?;
        // A session's tag replaces the role's, in whatever letter case its key is written.
        tags.retain(|key, _| !of_session.keys().any(|other| fold(other) == fold(key)));
        tags.extend(of_session);
        let role: UserName = role.parse().map_err(|error| internal("a role in a token", &error))?;
        let name: UserName =
            session.parse().map_err(|error| internal("a session in a token", &error))?;
        Ok(Caller {
            arn: self.realm().role_session_arn(&role, &name),
            user_id: format!("{unique_id}:{name}"),
            name,
            person,
            principal,
            principal_id: unique_id,
            access_key,
            proof: Proof::Signature,
            tags,
            temporary: Some(temporary),
        })
    }

    /// Goes on only if what began a caller's credentials is still good: for what lasts longer than
    /// one request.
    pub(super) async fn root_stands(&self, caller: &Caller) -> Result<(), ApiError> {
        let issued_at = caller.temporary.as_ref().map_or(LASTING, |held| held.issued_at);
        self.root_of(&caller.root(), issued_at).await.map(drop)
    }

    /// The person behind a chain of credentials, if what began it is still good.
    pub(super) async fn root_of(
        &self,
        root: &Root,
        issued_at: UnixMillis,
    ) -> Result<(Person, Option<Federated>), ApiError> {
        match root {
            Root::Key(id) => {
                let key = self.store().principals().key(id).await;
                let key = key.or_internal("cannot read an access key")?;
                let key = key.filter(|key| key.active).ok_or_else(unknown)?;
                if issued_at != LASTING && issued_at <= key.holds_since {
                    return Err(disabled_since());
                }
                Ok((Person { id: key.principal_id, name: key.principal }, None))
            }
            Root::Vouched(vouched) => {
                let (person, federated) = self.vouched_for(vouched, issued_at).await?;
                Ok((person, Some(federated)))
            }
        }
    }

    /// Whether a caller would be let in now, for what outlives the request: what began the chain of
    /// its credentials is good, and its role is still the one that was assumed.
    pub(super) async fn still_stands(&self, caller: &Caller) -> Result<bool, ApiError> {
        let stands = match self.root_stands(caller).await {
            Err(error) if error.code == ErrorCode::InternalServerError => return Err(error),
            root => root.is_ok(),
        };
        if !stands || caller.is_person() {
            return Ok(stands);
        }
        let role = self.store().roles().get(&caller.principal).await;
        let role = role.or_internal("cannot read a role")?;
        Ok(role.is_some_and(|role| role.unique_id == caller.principal_id))
    }

    /// An approved request for access that is not over, with the policy that it adds.
    async fn granted_access(
        &self,
        person: &Person,
        request: String,
    ) -> Result<(String, String), ApiError> {
        let row = self
            .store()
            .access_requests()
            .get(&request)
            .await
            .or_internal("cannot read a request")?;
        let now = self.parts.clock.now();
        let row = row
            .filter(|row| row.status == "Approved" && row.expires_at > now)
            .filter(|row| row.principal_id == person.id)
            .ok_or_else(|| expired("the approved access has ended or was revoked"))?;
        Ok((request, policy_of(&row)?))
    }

    /// A user as a caller.
    pub(super) async fn user(
        &self,
        person: Person,
        access_key: String,
        temporary: Option<Temporary>,
    ) -> Result<Caller, ApiError> {
        let tags = self
            .store()
            .tags()
            .of(TagKind::Principal, &person.name)
            .await
            .or_internal("cannot read tags")?;
        let name: UserName =
            person.name.parse().map_err(|error| internal("a stored principal", &error))?;
        Ok(Caller {
            arn: self.realm().user_arn(&name),
            user_id: name.to_string(),
            principal: name.to_string(),
            principal_id: person.id.clone(),
            name,
            person,
            access_key,
            proof: Proof::Signature,
            tags,
            temporary,
        })
    }
}
