//! The addresses that providers send browsers back to.
//!
//! Data flow: a provider's setting -> the path that it is told at the start ([`super::start`]) ->
//! the path that the answer came to ([`super::callback`]) -> the token endpoint, which compares it
//! with its own record.
//!
//! # Invariants
//! - Each provider has an address of its own, but for those of an older version, which share one.
//! - An answer counts at the address that its attempt began with, and that its provider has by now,
//!   and at no other. So no provider gets the code of another one: the other one sends its answer
//!   to the address that is registered with it (RFC 9700, section 4.4.2.2).
//! - A sign-in that an older gateway began beside this one, or that began before its provider was
//!   moved, asks no token endpoint either. Nobody is refused for it: the browser begins it again.
//! - Paths are compared byte by byte, as they were sent.

use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::IdentityProvider;

use super::super::internal::{OrInternal as _, internal};
use super::super::service::Api;
use super::super::web_identity::settings_of;

/// The path of providers without one of their own.
pub(super) const SHARED_PATH: &str = "/sign-in/callback";

pub(super) fn shared_path() -> String {
    SHARED_PATH.to_owned()
}

/// The path of the provider of this name alone: a name needs no encoding.
pub(in super::super) fn own_path(name: &str) -> String {
    format!("{SHARED_PATH}/{name}")
}

/// The path that a provider answers at.
pub(in super::super) fn callback_path(provider: &IdentityProvider) -> String {
    if provider.own_redirect { own_path(&provider.name) } else { shared_path() }
}

/// Goes on only if an answer came to where its provider answers, and did when the attempt began.
pub(super) fn came_to(
    arrived: &str,
    begun: &str,
    provider: &IdentityProvider,
) -> Result<(), ApiError> {
    if arrived == begun && arrived == callback_path(provider) {
        return Ok(());
    }
    if arrived == begun && arrived == SHARED_PATH {
        return Err(begun_before(&provider.name));
    }
    let message = format!(
        "this answer came to another address than the identity provider {} answers at, so it may \
         be of another provider: begin again, and tell an administrator when it comes again",
        provider.name
    );
    Err(ApiError::new(ErrorCode::UnrecognizedClientException, message))
}

/// The provider has an address of its own, and the sign-in began without it: it begins again.
fn begun_before(name: &str) -> ApiError {
    let message = format!(
        "this sign-in began at the redirect address that identity providers shared, before {name} \
         was given one of its own, or at a gateway of an older version: try again. If it comes \
         again, an administrator has to upgrade all gateways: `towline-gateway nodes` shows \
         their versions"
    );
    ApiError::new(ErrorCode::IDPCommunicationError, message)
}

impl Api {
    /// The whole address of a path, as it is registered at a provider; `None`: the gateway has no
    /// origin.
    pub(in super::super) fn callback_url(&self, path: &str) -> Option<String> {
        self.parts.sign_in.origins.first().map(|origin| format!("{origin}{path}"))
    }

    /// The same where people sign in.
    pub(super) fn needed_callback_url(&self, path: &str) -> Result<String, ApiError> {
        self.callback_url(path).ok_or_else(|| {
            internal("sign-in needs an origin", &"set `origins` in [console] of gateway.toml")
        })
    }

    /// Says at the start what an administrator has to know.
    pub(super) async fn warn_of_shared_redirects(&self) {
        match self.shared_redirects().await {
            Ok(None) => {}
            Ok(Some(complaint)) => tracing::warn!("{complaint}"),
            Err(error) => tracing::warn!(%error, "cannot read identity providers"),
        }
    }

    /// What an administrator has to know of providers that share an address.
    pub(in super::super) async fn shared_redirects(&self) -> Result<Option<String>, ApiError> {
        let all = self.store().identity_providers().list().await;
        let mut all = all.or_internal("cannot list identity providers")?;
        all.retain(|one| {
            !one.own_redirect && settings_of(one).is_ok_and(|settings| settings.client_id.is_some())
        });
        let known = |one: &IdentityProvider| {
            self.callback_url(&own_path(&one.name)).unwrap_or_else(|| own_path(&one.name))
        };
        Ok(complaint(&all.iter().map(|one| (&*one.name, known(one))).collect::<Vec<_>>()))
    }
}

/// In words, for names and the addresses that they would have of their own.
fn complaint(sharing: &[(&str, String)]) -> Option<String> {
    if sharing.len() < 2 {
        return None;
    }
    let all: Vec<String> =
        sharing.iter().map(|(name, address)| format!("{name}: {address}")).collect();
    Some(format!(
        "identity providers share a redirect address, so a hostile one can get the sign-ins of \
         another. Register at each provider the address of its own, then run `towline admin \
         provider redirect NAME own`: {}",
        all.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_provider_at_the_shared_address_is_nothing_to_complain_about() {
        let own = |name| (name, format!("https://gw.test{}", own_path(name)));
        assert_eq!(complaint(&[]), None);
        assert_eq!(complaint(&[own("corp")]), None);
        let words = complaint(&[own("corp"), own("partner")]).unwrap();
        assert!(words.contains("corp: https://gw.test/sign-in/callback/corp"), "{words}");
        assert!(words.contains("partner: https://gw.test/sign-in/callback/partner"), "{words}");
    }
}
