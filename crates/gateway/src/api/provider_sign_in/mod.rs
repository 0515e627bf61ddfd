//! People sign in through an identity provider, for `towline login`.
//!
//! Data flow: [`routes()`] `/sign-in/start` (state, nonce, verifier into a cookie) -> the provider ->
//! `/sign-in/callback` ([`exchange`]: code to ID token, claims to a role) -> a code for the program
//! that listens on loopback -> `/sign-in/token` -> temporary credentials.
//!
//! # Invariants
//! - The gateway is the provider's client; no token of the provider reaches a page or a program.
//! - What a sign-in began with stands in a cookie that is sealed, lasts ten minutes and is used once;
//!   the answer belongs to it by state, nonce and verifier (PKCE).
//! - The way back is loopback, and what arrives there is of use with the program's verifier alone.
//! - The mapping of groups alone gives a role. Who has none is not let in.
//!
//! # Not here
//! - Roles for jobs: [`super::web_identity`]. Sign-ins of browsers: [`super::sign_in`].

mod attempt;
mod exchange;
mod pages;
mod pending;
mod routes;

pub(super) use pending::Pending;
pub(super) use routes::routes;
