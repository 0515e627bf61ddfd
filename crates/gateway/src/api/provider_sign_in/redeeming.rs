//! The provider's token endpoint, asked by this gateway as its client.
//!
//! Data flow: a form with a code or a refresh token, the client's secret in one of three places ->
//! the endpoint -> its answer.
//!
//! # Invariants
//! - A secret goes where the provider's discovery document says, or where it was taken last: a
//!   further way is tried only after `invalid_client`, so that a provider counts no failure of this
//!   client at each sign-in.
//! - What a provider says of the code is told apart from what it says of this gateway, and both
//!   from no answer.
//! - A request that got no answer is sent again, with pauses, while [`PROVIDER_PATIENCE`] lasts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::time::Instant;
use towline_oidc::limits::MAX_DISCOVERY;
use towline_oidc::{Answer, Discovery, refusal};
use towline_ssm::error::ApiError;
use towline_store::IdentityProvider;

use super::super::internal::OrInternal as _;
use super::super::providers::sealed_for;
use super::super::service::Api;
use super::super::web_identity::settings_of;
use super::exchange::{away, refused, unusable};
use super::start::encoded;
use crate::federation::{Known, SecretPlace};
use crate::limits::{PROVIDER_PATIENCE, PROVIDER_PAUSES};
use crate::outbound::{Ask, OutboundError};

/// Why there are no tokens.
#[derive(Debug)]
pub(super) enum NotRedeemed {
    /// The provider does not take the code or token: another one is needed.
    Grant(ApiError),
    /// This says nothing about the code or token.
    Other(ApiError),
}

impl From<NotRedeemed> for ApiError {
    fn from(not: NotRedeemed) -> Self {
        match not {
            NotRedeemed::Grant(error) | NotRedeemed::Other(error) => error,
        }
    }
}

/// The words of a provider that gives no tokens.
fn said(error: &OutboundError) -> NotRedeemed {
    let word = match error {
        OutboundError::Status { body, .. } => refusal(body),
        _ => None,
    };
    match word.as_deref() {
        // RFC 6749, section 5.2: this one is about the code or token, the others are about us.
        Some(why @ "invalid_grant") => {
            NotRedeemed::Grant(refused(format!("the identity provider refused the sign-in: {why}")))
        }
        Some(why) if !is_passing_word(why) => {
            let why = format!("the identity provider refused the request: {why}");
            NotRedeemed::Other(unusable(&why))
        }
        _ => NotRedeemed::Other(not_answered(error)),
    }
}

/// A request that has no good answer.
pub(super) fn not_answered(error: &OutboundError) -> ApiError {
    if error.is_passing() { away(error) } else { unusable(error) }
}

/// Words of a provider that cannot answer now: RFC 6749, section 4.1.2.1.
pub(super) fn is_passing_word(word: &str) -> bool {
    matches!(word, "server_error" | "temporarily_unavailable")
}

/// Whether a request is worth another try. A provider that says what it does not like has answered.
fn is_worth_another(error: &OutboundError) -> bool {
    let word = match error {
        OutboundError::Status { body, .. } => refusal(body),
        _ => None,
    };
    error.is_passing() && word.is_none_or(|word| is_passing_word(&word))
}

/// Whether the provider does not take us for its client.
fn is_unknown(answer: &Result<Bytes, OutboundError>) -> bool {
    let Err(OutboundError::Status { body, .. }) = answer else { return false };
    refusal(body).as_deref() == Some("invalid_client")
}

/// Where a client's secret may be read, in the order in which it is tried; `last`: where it was
/// read last.
fn places(discovery: &Discovery, last: Option<SecretPlace>) -> [SecretPlace; 3] {
    use SecretPlace::{Form, Header, RawHeader};
    let in_form_alone = discovery.takes_secret_in_form && !discovery.takes_secret_in_header;
    let mut places =
        if in_form_alone { [Form, Header, RawHeader] } else { [Header, RawHeader, Form] };
    // The sort is stable: the others keep their order.
    places.sort_by_key(|place| Some(*place) != last);
    places
}

/// A form and the header `Authorization` beside it.
type Request = (String, Option<String>);

/// The request of a client with its secret at this place.
fn request(form: &str, id: &str, secret: &str, place: SecretPlace) -> Request {
    let basic = |pair: String| Some(format!("Basic {}", STANDARD.encode(pair)));
    match place {
        // RFC 6749, section 2.3.1.
        SecretPlace::Header => {
            (form.to_owned(), basic(format!("{}:{}", encoded(id), encoded(secret))))
        }
        SecretPlace::RawHeader => (form.to_owned(), basic(format!("{id}:{secret}"))),
        SecretPlace::Form => {
            (format!("{form}&client_id={}&client_secret={}", encoded(id), encoded(secret)), None)
        }
    }
}

impl Api {
    /// Asks the provider's token endpoint.
    pub(super) async fn redeem(
        &self,
        provider: &IdentityProvider,
        known: &Known,
        form: String,
    ) -> Result<Answer, NotRedeemed> {
        let other = NotRedeemed::Other;
        let id = settings_of(provider).map_err(other)?.client_id.unwrap_or_default();
        let url = known.discovery.token_endpoint.as_deref();
        let url = url.ok_or_else(|| other(unusable(&"the provider has no token endpoint")))?;
        let answer = match self.client_secret(provider).map_err(other)? {
            None => {
                let form = format!("{form}&client_id={}", encoded(&id));
                self.ask_form(url, &(form, None)).await
            }
            Some(secret) => {
                let asked = |place| request(&form, &id, &secret, place);
                self.ask_as_client(&provider.unique_id, known, url, asked).await
            }
        };
        let answer = answer.map_err(|error| said(&error))?;
        Answer::parse(&answer).map_err(|error| other(refused(error.to_string())))
    }

    /// Asks with the secret at one place, and while the client is not known at further ones.
    async fn ask_as_client(
        &self,
        provider: &str,
        known: &Known,
        url: &str,
        asked: impl Fn(SecretPlace) -> Request,
    ) -> Result<Bytes, OutboundError> {
        let providers = &self.parts.providers;
        let [mut place, others @ ..] = places(&known.discovery, providers.secret_place(provider));
        let mut answer = self.ask_form(url, &asked(place)).await;
        for next in others {
            let is_tried = next != SecretPlace::Form || known.discovery.takes_secret_in_form;
            // Most secrets look the same in both headers.
            if is_unknown(&answer) && is_tried && asked(next) != asked(place) {
                place = next;
                answer = self.ask_form(url, &asked(place)).await;
            }
        }
        if answer.is_ok() {
            providers.remember_secret_place(provider, place);
        }
        answer
    }

    /// What the provider knows this gateway by.
    fn client_secret(&self, provider: &IdentityProvider) -> Result<Option<String>, ApiError> {
        let Some(sealed) = &provider.secret else { return Ok(None) };
        let opened = self.parts.vault.open(&sealed_for(&provider.issuer), sealed);
        let opened = opened.or_internal("cannot open a client secret")?;
        Ok(Some(String::from_utf8_lossy(&opened).into_owned()))
    }

    async fn ask_form(
        &self,
        url: &str,
        (form, authorization): &Request,
    ) -> Result<Bytes, OutboundError> {
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        let ask = || Ask {
            url,
            headers: &headers,
            body: Some(form.clone().into_bytes()),
            most: MAX_DISCOVERY,
            ..Ask::default()
        };
        self.ask_patiently(ask).await
    }

    /// Asks a provider, and once more where it is away for a moment.
    pub(super) async fn ask_patiently<'a>(
        &self,
        ask: impl Fn() -> Ask<'a>,
    ) -> Result<Bytes, OutboundError> {
        let began = Instant::now();
        let client = self.parts.providers.client();
        let mut answer = client.ask(ask()).await;
        for pause in PROVIDER_PAUSES {
            let is_over = began.elapsed() + pause > PROVIDER_PATIENCE;
            if is_over || !answer.as_ref().is_err_and(is_worth_another) {
                break;
            }
            tokio::time::sleep(pause).await;
            answer = client.ask(ask()).await;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use SecretPlace::{Form, Header, RawHeader};

    use super::*;

    fn discovery(methods: &str) -> Discovery {
        let text = format!(
            r#"{{"issuer":"https://id.example","jwks_uri":"https://id.example/keys",
            "token_endpoint_auth_methods_supported":{methods}}}"#
        );
        Discovery::parse(text.as_bytes(), "https://id.example").unwrap()
    }

    #[test]
    fn a_secret_goes_first_where_it_was_read_last_or_where_the_provider_says() {
        for (methods, last, order) in [
            ("null", None, [Header, RawHeader, Form]),
            (r#"["client_secret_post","client_secret_basic"]"#, None, [Header, RawHeader, Form]),
            (r#"["client_secret_post"]"#, None, [Form, Header, RawHeader]),
            ("null", Some(RawHeader), [RawHeader, Header, Form]),
            (r#"["client_secret_post"]"#, Some(RawHeader), [RawHeader, Form, Header]),
        ] {
            assert_eq!(places(&discovery(methods), last), order, "{methods} {last:?}");
        }
    }
}
