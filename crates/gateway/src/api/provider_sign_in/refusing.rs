//! A sign-in that is refused: the program that waits for it is told at once. One that nobody
//! decided about is not refused: its program waits on, and the browser gets a link to try again.
//!
//! Data flow: the error -> a program on loopback: a redirect to where it listens, with the error. A
//! program without a browser, whose page the person wanted: the outcome of its request
//! ([`super::super::sign_in_requests`]). In each case the browser shows the reason.
//!
//! # Invariants
//! - A program is told in the address that its attempt began with, with the state that it sent.
//! - Only an attempt of this browser, or a start, refuses anything.
//! - A provider that is away, a source that is throttled and a fault of the gateway refuse nothing.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use towline_host::clock::UnixMillis;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_wire::text;

use super::super::service::Api;
use super::attempt::{Program, Target};
use super::pages::{page, page_with_link, redirect};
use super::start::encoded;
use crate::limits::MAX_REFUSAL;

/// Who waits for a sign-in.
pub(super) struct Waits {
    pub(super) target: Target,
    /// The provider has to ask again.
    pub(super) fresh: bool,
}

/// Whether an error decides nothing about the person: the same sign-in may succeed in a moment.
pub(in super::super) fn is_passing(error: &ApiError) -> bool {
    matches!(
        error.code,
        ErrorCode::IDPCommunicationError
            | ErrorCode::InternalServerError
            | ErrorCode::ThrottlingException
            | ErrorCode::TooManyUpdates
    )
}

/// The words of a refusal, for the one who waits.
pub(in super::super) fn words_of(error: &ApiError) -> String {
    text::plain(&error.message, MAX_REFUSAL)
}

/// Sends a browser to the program that waits on its machine.
fn to_program(program: &Program, error: &ApiError, cookies: &[String]) -> Response<Body> {
    let to = format!(
        "{}?error={}&error_description={}&state={}",
        program.redirect,
        encoded(error.code.as_str()),
        encoded(&words_of(error)),
        encoded(&program.state),
    );
    redirect(&to, cookies)
}

impl Api {
    /// Answers a browser whose sign-in was not done. `provider`: the name of its provider.
    pub(super) async fn refuse(
        &self,
        waits: Option<Waits>,
        error: &ApiError,
        provider: Option<&str>,
        cookies: &[String],
        now: UnixMillis,
    ) -> Response<Body> {
        let status = status_of(error);
        let Some(Waits { target, fresh }) = waits else {
            return page(status, &error.message, cookies);
        };
        if is_passing(error) {
            let again = again_at(provider, &target, fresh);
            let link = again.as_deref().map(|to| (to, "Try again"));
            return page_with_link(status, &error.message, link, cookies);
        }
        let console = match &target {
            Target::Program(program) => return to_program(program, error, cookies),
            Target::Console(console) => console,
        };
        self.refuse_sign_in_request(&console.to, error, now).await;
        let is_of_account =
            matches!(error.code, ErrorCode::AccessDeniedException | ErrorCode::IDPRejectedClaim);
        let again = again_at(provider, &target, true).filter(|_| is_of_account);
        let link = again.as_deref().map(|to| (to, "Sign in with another account"));
        page_with_link(status, &error.message, link, cookies)
    }
}

fn status_of(error: &ApiError) -> StatusCode {
    match error.code {
        ErrorCode::ThrottlingException => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::ValidationException => StatusCode::BAD_REQUEST,
        _ if is_passing(error) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    }
}

/// Where the same sign-in begins again. `fresh`: the provider asks who it is.
pub(super) fn again_at(provider: Option<&str>, target: &Target, fresh: bool) -> Option<String> {
    let mut query: Vec<(&str, &str)> = if fresh { vec![("fresh", "true")] } else { Vec::new() };
    let path = match target {
        Target::Program(program) => {
            query.extend(provider.map(|name| ("provider", name)));
            query.push(("redirect", &program.redirect));
            query.push(("challenge", &program.challenge));
            query.push(("state", &program.state));
            query.extend(program.role.as_deref().map(|role| ("role", role)));
            "/sign-in/start".to_owned()
        }
        Target::Console(console) => {
            query.push(("to", &console.to));
            query.extend(console.role.as_deref().map(|role| ("role", role)));
            format!("/console/sign-in/{}", encoded(provider?))
        }
    };
    let query: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    Some(format!("{path}?{}", query.join("&")))
}

#[cfg(test)]
mod tests {
    use super::super::attempt::ConsolePage;
    use super::*;

    #[test]
    fn a_link_begins_the_same_sign_in_again() {
        let program = Program {
            redirect: "http://127.0.0.1:9/callback".into(),
            challenge: "c".into(),
            state: "a&b".into(),
            role: Some("ops".into()),
        };
        assert_eq!(
            again_at(Some("corp"), &Target::Program(program), false).as_deref(),
            Some(
                "/sign-in/start?provider=corp&redirect=http%3A%2F%2F127.0.0.1%3A9%2Fcallback\
                 &challenge=c&state=a%26b&role=ops"
            )
        );
        let console = Target::Console(ConsolePage { to: "/".into(), role: None, before: None });
        let again = again_at(Some("corp"), &console, true);
        assert_eq!(again.as_deref(), Some("/console/sign-in/corp?fresh=true&to=%2F"));
        assert_eq!(again_at(None, &console, true), None);
    }

    #[test]
    fn what_decides_nothing_about_a_person_ends_no_wait() {
        for (code, passing, status) in [
            (ErrorCode::IDPCommunicationError, true, 503),
            (ErrorCode::InternalServerError, true, 503),
            (ErrorCode::TooManyUpdates, true, 503),
            (ErrorCode::ThrottlingException, true, 429),
            (ErrorCode::ValidationException, false, 400),
            (ErrorCode::AccessDeniedException, false, 403),
            (ErrorCode::IDPRejectedClaim, false, 403),
            (ErrorCode::InvalidIdentityToken, false, 403),
        ] {
            let error = ApiError::new(code, "why");
            assert_eq!((is_passing(&error), status_of(&error).as_u16()), (passing, status));
        }
    }
}
