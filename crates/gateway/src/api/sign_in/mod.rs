//! Sign-ins of browsers: an access key, temporary credentials or an identity provider makes one, a
//! cookie proves it in each further request.
//!
//! Data flow: CreateSignIn, signed by the page, or a provider's answer
//! ([`super::provider_sign_in`]) -> a row in the store ([`rows`]) -> [`cookie`] (the row's id,
//! sealed) -> [`proof`] (cookie, origin, CSRF value, times) -> the same
//! [`Caller`](super::call::Caller) as of a signature -> policy, audit and limits as for every
//! caller.
//!
//! # Invariants
//! - The row decides: sign-out, the end of what made it and the end of the time count at once.
//! - A cookie alone does nothing: the request names an allowed origin and, but for GetSignIn, holds
//!   the CSRF value, which another site can neither read nor make.
//! - Each sign-in has a new id. The one that the browser had before is voided.
//! - Neither cookie nor CSRF value is ever logged.
//!
//! # Not here
//! - The page: `crates/console`. Its assets and headers: [`crate::console`].

mod cookie;
mod operations;
mod proof;
mod rows;
mod settings;

pub(super) use cookie::cookies;
pub(super) use rows::{By, Held};
pub use settings::SignInSettings;
