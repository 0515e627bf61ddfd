//! The row of a sign-in: made, and read back as a caller.
//!
//! Data flow: an access key, or a [`Token`] -> the row, which holds the token sealed -> with each
//! request the row again, and the key or the token behind it.
//!
//! # Invariants
//! - A sign-in lasts no longer than the token that made it.
//! - What ends temporary credentials ends a sign-in by them: their key, provider, person, mapping,
//!   role or approved request is read with each request.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{SignIn, SignInRoot};

use super::super::authn::Failure;
use super::super::call::{Caller, Proof};
use super::super::internal::{OrInternal as _, internal};
use super::super::root::Root;
use super::super::service::Api;
use super::super::token::Token;
use crate::plane::Person;

/// What makes a sign-in.
pub(in super::super) enum By {
    /// An access key.
    Key(String),
    /// Temporary credentials.
    Token(Box<Held>),
}

/// Temporary credentials, as the row holds them.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Held {
    /// Their access key; nothing when none was given out.
    pub(in super::super) access_key: String,
    pub(in super::super) token: Token,
}

pub(super) fn over() -> Failure {
    let message = "the sign-in is over: sign in again";
    Failure::uncounted(ApiError::new(ErrorCode::ExpiredTokenException, message))
}

impl Api {
    /// Stores a sign-in; `before`: the one that the browser had, which is voided.
    pub(in super::super) async fn begin_sign_in(
        &self,
        by: By,
        source: IpAddr,
        before: Option<&str>,
        now: UnixMillis,
    ) -> Result<SignIn, ApiError> {
        if let Some(before) = before {
            self.void(before).await?;
        }
        let id = entropy::uuid().or_internal("no id for a sign-in")?;
        let mut expires_at = now.plus(self.parts.sign_in.max);
        let (root, token) = match by {
            By::Key(key) => (SignInRoot::Key(key), None),
            By::Token(held) => {
                expires_at = expires_at.min(UnixMillis(held.token.expires_at));
                let root = match &held.token.root {
                    Root::Key(key) => SignInRoot::Key(key.clone()),
                    Root::Vouched(vouched) => SignInRoot::Person(vouched.person.clone()),
                };
                let text = serde_json::to_vec(&held).map_err(|e| internal("a token", &e))?;
                let sealed = self.parts.vault.seal(&self.sealed_for_row(&id), &text);
                (root, Some(sealed.or_internal("cannot seal a token")?))
            }
        };
        let source_ip = source.to_string();
        let row = SignIn { id, root, token, source_ip, created_at: now, used_at: now, expires_at };
        self.store().sign_ins().create(&row).await.or_internal("cannot store a sign-in")?;
        Ok(row)
    }

    pub(super) async fn void(&self, id: &str) -> Result<(), ApiError> {
        self.store().sign_ins().remove(id).await.or_internal("cannot void a sign-in").map(drop)
    }

    /// The sign-in of this id and whose it is, while it stands.
    pub(in super::super) async fn sign_in_stands(
        &self,
        id: &str,
        now: UnixMillis,
    ) -> Result<(SignIn, Caller), Failure> {
        let row = self.store().sign_ins().get(id).await.or_internal("cannot read a sign-in")?;
        let row = row.ok_or_else(over)?;
        if now >= row.expires_at || now >= row.used_at.plus(self.parts.sign_in.idle) {
            return Err(over());
        }
        let caller = match (&row.token, &row.root) {
            (Some(sealed), _) => self.holder_of_row(&row, sealed).await?,
            (None, SignInRoot::Key(key)) => {
                let key = self.store().principals().key(key).await;
                let key = key.or_internal("cannot read an access key")?;
                let key = key.filter(|key| key.active && key.holds_since < row.created_at);
                let key = key.ok_or_else(over)?;
                let person = Person { id: key.principal_id, name: key.principal };
                self.user(person, key.id, None).await?
            }
            (None, SignInRoot::Person(_)) => return Err(over()),
        };
        let proof = Proof::Cookie { sign_in: row.id.clone() };
        Ok((row, Caller { proof, ..caller }))
    }

    async fn holder_of_row(&self, row: &SignIn, sealed: &[u8]) -> Result<Caller, Failure> {
        let opened = self.parts.vault.open(&self.sealed_for_row(&row.id), sealed);
        let opened = opened.map_err(|_| over())?;
        let held: Held = serde_json::from_slice(&opened).map_err(|_| over())?;
        match self.holder(held.token, held.access_key).await {
            Ok(caller) => Ok(caller),
            Err(error) if error.code == ErrorCode::InternalServerError => {
                Err(Failure::uncounted(error))
            }
            Err(error) => {
                let message = format!("the sign-in is over: {}: sign in again", error.message);
                let error = ApiError::new(ErrorCode::ExpiredTokenException, message);
                Err(Failure::uncounted(error))
            }
        }
    }

    /// What the token of a row is sealed for: it opens for no other row, and as no other secret.
    fn sealed_for_row(&self, id: &str) -> String {
        self.parts.vault.given_out(&format!("token of sign-in {id}"))
    }
}
