//! A sign-in that is refused: the program that waits for it is told at once.
//!
//! Data flow: the error -> a program on loopback: a redirect to where it listens, with the error. A
//! program without a browser, whose page the person wanted: the outcome of its request
//! ([`super::super::sign_in_requests`]). In each case the browser shows the reason.
//!
//! # Invariants
//! - A program is told in the address that its attempt began with, with the state that it sent.
//! - Only an attempt of this browser, or a start, refuses anything.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use towline_host::clock::UnixMillis;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_wire::text;

use super::super::service::Api;
use super::attempt::{ConsolePage, Program, Target};
use super::pages::{page, page_with_link, redirect};
use super::start::encoded;
use crate::limits::MAX_REFUSAL;

/// The words of a refusal, for the one who waits.
pub(in super::super) fn words_of(error: &ApiError) -> String {
    text::plain(&error.message, MAX_REFUSAL)
}

/// Sends a browser to the program that waits on its machine.
pub(super) fn to_program(
    program: &Program,
    error: &ApiError,
    cookies: &[String],
) -> Response<Body> {
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
    /// Answers a browser whose sign-in was refused. `provider`: the name of its provider.
    pub(super) async fn refuse(
        &self,
        target: Option<Target>,
        error: &ApiError,
        provider: Option<&str>,
        cookies: &[String],
        now: UnixMillis,
    ) -> Response<Body> {
        let console = match target {
            Some(Target::Program(program)) => return to_program(&program, error, cookies),
            Some(Target::Console(console)) => console,
            None => return page(StatusCode::FORBIDDEN, &error.message, cookies),
        };
        self.refuse_sign_in_request(&console.to, error, now).await;
        let is_of_account =
            matches!(error.code, ErrorCode::AccessDeniedException | ErrorCode::IDPRejectedClaim);
        let again = provider.filter(|_| is_of_account).map(|name| again_at(name, &console));
        let link = again.as_deref().map(|to| (to, "Sign in with another account"));
        page_with_link(StatusCode::FORBIDDEN, &error.message, link, cookies)
    }
}

/// Where the provider asks who it is.
fn again_at(provider: &str, console: &ConsolePage) -> String {
    let role = console.role.as_ref().map(|role| format!("&role={}", encoded(role)));
    format!(
        "/console/sign-in/{}?fresh=true&to={}{}",
        encoded(provider),
        encoded(&console.to),
        role.unwrap_or_default()
    )
}
