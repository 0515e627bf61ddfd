//! People sign in through an identity provider, for `towline login` and in the console.
//!
//! Data flow: [`routes()`] `/sign-in/start` or `/console/sign-in/PROVIDER` ([`start`]: state,
//! nonce, verifier into a cookie) -> the provider -> `/sign-in/callback/PROVIDER` ([`callback`];
//! [`redirects`]: which provider may answer there; [`redeeming`]: code to ID token; [`exchange`]:
//! claims to a role) -> for a program a code to where it listens on loopback, then `/sign-in/token`
//! and temporary credentials; for the console a sign-in and its cookie. What is refused is told to
//! who waits for it ([`refusing`]). What waited is judged once more ([`standing`]).
//!
//! A program's credentials are renewed by the provider's refresh token: [`renewal`].
//!
//! # Invariants
//! - The gateway is the provider's client; no token of the provider reaches a page or a program.
//! - What a sign-in began with stands in a cookie of its own that is sealed, lasts ten minutes and
//!   is used once; the answer belongs to it by state, nonce and verifier (PKCE).
//! - A program's way back is loopback, and what arrives there is of use with its verifier alone.
//!   The console's is a page of the console.
//! - The mapping of groups alone gives a role. Who has none is not let in.
//!
//! # Not here
//! - Roles for jobs: [`super::web_identity`]. Sign-ins of browsers: [`super::sign_in`].

mod attempt;
mod callback;
mod exchange;
mod pages;
mod pending;
mod redeeming;
mod redirects;
mod refusing;
mod renewal;
mod routes;
mod standing;
mod start;
mod turns;

pub(super) use redirects::{callback_path, own_path};
pub(super) use refusing::{is_passing, words_of};
pub(super) use routes::{json_answer, routes};
pub(super) use standing::{removed, signs_people_in};
pub(super) use start::encoded;
pub(super) use turns::Turns;
