//! Whose request it is, by the cookie of a sign-in, or by a link that makes one.
//!
//! Data flow: origin -> cookie -> row ([`super::rows`]) -> CSRF value -> [`Caller`].
//!
//! # Invariants
//! - A cookie that was not made here counts as a failure of its source, as a wrong signature does.
//! - The use of a sign-in is written at most once in [`limits::SIGN_IN_USED_EVERY`], and a request
//!   that the page makes by itself is no use: an open page does not keep its sign-in alive.
//! - A link is used up by the first request that names it, even if its access key has ended.

use axum::http::{HeaderMap, header, request};
use subtle::ConstantTimeEq as _;
use towline_host::clock::UnixMillis;
use towline_ssm::api::parse;
use towline_ssm::api::sign_in::RedeemSignInLinkRequest;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::operation::Operation;

use super::super::authn::{Failure, unknown_key};
use super::super::call::{Caller, Proof};
use super::super::elsewhere::is_passed_on;
use super::super::internal::OrInternal as _;
use super::super::service::Api;
use crate::limits;
use crate::origins::Origin;
use crate::plane::Person;
use crate::sign_in_links;

/// The header with the CSRF value.
const CSRF: &str = "x-towline-csrf";
/// The header of requests that the page makes without its user.
const BACKGROUND: &str = "x-towline-background";

fn no_link() -> Failure {
    let message = "this link signs nobody in: it was used, is older than 5 minutes, or the gateway \
                   was restarted since";
    ApiError::new(ErrorCode::UnrecognizedClientException, message).into()
}

impl Api {
    /// Whose request it is.
    pub(in super::super) async fn prove_by_cookie(
        &self,
        operation: Operation,
        head: &request::Parts,
        cookie: &str,
        now: UnixMillis,
    ) -> Result<Caller, Failure> {
        // The gateway that passed it on has judged its page, by `origins` of its own.
        if !is_passed_on(head) {
            self.own_page(&head.headers).map_err(Failure::uncounted)?;
        }
        let id = self.opened_cookie(cookie).ok_or_else(unknown_key)?;
        let (row, caller) = self.sign_in_stands(&id, now).await?;
        let sent = head.headers.get(CSRF).map_or(&b""[..], |value| value.as_bytes());
        let right: bool = sent.ct_eq(self.csrf_of(&id).as_bytes()).into();
        if !right && operation != Operation::GetSignIn {
            let message = "the header X-Towline-Csrf is missing or belongs to another sign-in: \
                           ask GetSignIn who is signed in now";
            let error = ApiError::new(ErrorCode::UnrecognizedClientException, message);
            return Err(Failure::uncounted(error));
        }
        let every = limits::SIGN_IN_USED_EVERY.min(self.parts.sign_in.idle / 4);
        if !head.headers.contains_key(BACKGROUND) && now >= row.used_at.plus(every) {
            let noted = self.store().sign_ins().used(&id, now).await;
            noted.or_internal("cannot note the use of a sign-in")?;
        }
        Ok(caller)
    }

    /// Whose sign-in a cookie is, for a request that does nothing: no CSRF value is asked for.
    pub(in super::super) async fn holder_of_cookie(
        &self,
        cookie: &str,
        now: UnixMillis,
    ) -> Result<Caller, Failure> {
        let id = self.opened_cookie(cookie).ok_or_else(unknown_key)?;
        self.sign_in_stands(&id, now).await.map(|(_, caller)| caller)
    }

    /// Whether an unsigned request is that of a page, ours or not.
    pub(in super::super) fn is_page(&self, headers: &HeaderMap) -> bool {
        let origin = self.parts.sign_in.origins.of(headers);
        origin != Origin::Absent && !headers.contains_key(header::AUTHORIZATION)
    }

    /// Whose link it is; the link is used up.
    pub(in super::super) async fn prove_by_link(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<Caller, Failure> {
        self.own_page(headers).map_err(Failure::uncounted)?;
        let RedeemSignInLinkRequest { principal_name, secret } = parse(body)?;
        let key = sign_in_links::take(self.store(), &principal_name, &secret, now).await;
        let key = key.or_internal("cannot use a link")?.ok_or_else(no_link)?;
        let key = self.store().principals().key(&key).await;
        let key = key.or_internal("cannot read an access key")?;
        let key = key.filter(|key| key.active).ok_or_else(no_link)?;
        let person = Person { id: key.principal_id, name: key.principal };
        let caller = self.user(person, key.id, None).await?;
        Ok(Caller { proof: Proof::Link, ..caller })
    }

    /// Goes on only for a page of this gateway.
    pub(in super::super) fn own_page(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let origins = &self.parts.sign_in.origins;
        if origins.of(headers) == Origin::Ours {
            return Ok(());
        }
        let at = origins.first().unwrap_or("an address that gateway.toml does not name");
        let message = format!(
            "sign-ins are for pages of this gateway: open the console at {at}/console/, or add the \
             page's origin to `origins` in the section [console] of gateway.toml"
        );
        Err(ApiError::new(ErrorCode::AccessDeniedException, message))
    }
}
