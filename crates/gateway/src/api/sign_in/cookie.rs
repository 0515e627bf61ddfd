//! The cookie of a sign-in: made, read from a request, opened.
//!
//! # Invariants
//! - `__Host-`, Secure, HttpOnly, SameSite=Strict, path `/`, no domain: it goes to this host alone,
//!   and no script sees it.
//! - After a restore of a backup, cookies from before it do not open.
//! - Its value is sealed under the store's key: who reads the store cannot make one.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use towline_ssm::error::ApiError;

use super::super::internal::OrInternal as _;
use super::super::service::Api;
use crate::limits::MAX_SIGN_IN_COOKIE;

/// What the id of a sign-in is sealed for: no other secret of the vault opens as one.
const SEALED_FOR: &str = "console sign-in";

/// The cookies of a request: name and value.
pub(in super::super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

impl Api {
    fn cookie_name(&self) -> String {
        format!("__Host-towline-{}", self.parts.sign_in.gateway_id)
    }

    /// The value of `Set-Cookie` that gives a browser this sign-in.
    pub(in super::super) fn cookie_of(&self, id: &str) -> Result<String, ApiError> {
        let vault = &self.parts.vault;
        let sealed = vault
            .seal(&vault.given_out(SEALED_FOR), id.as_bytes())
            .or_internal("cannot seal a sign-in")?;
        Ok(self.set_cookie(&URL_SAFE_NO_PAD.encode(sealed), self.parts.sign_in.max.as_secs()))
    }

    /// The value of `Set-Cookie` that takes it away.
    pub(super) fn no_cookie(&self) -> String {
        self.set_cookie("", 0)
    }

    fn set_cookie(&self, value: &str, max_age: u64) -> String {
        let name = self.cookie_name();
        format!("{name}={value}; Path=/; Max-Age={max_age}; Secure; HttpOnly; SameSite=Strict")
    }

    /// The cookie of this gateway in a request, as it was sent.
    pub(in super::super) fn sign_in_cookie<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let name = self.cookie_name();
        cookies(headers).find(|(of, _)| *of == name).map(|(_, value)| value)
    }

    /// The id of the sign-in in a cookie that was made here.
    pub(in super::super) fn opened_cookie(&self, value: &str) -> Option<String> {
        if value.len() > MAX_SIGN_IN_COOKIE {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let vault = &self.parts.vault;
        let id = vault.open(&vault.given_out(SEALED_FOR), &sealed).ok()?;
        String::from_utf8(id.to_vec()).ok()
    }

    /// The CSRF value of a sign-in: the same after a restart, so that open pages go on.
    pub(super) fn csrf_of(&self, id: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.parts.vault.mac("console csrf", id.as_bytes()))
    }
}
