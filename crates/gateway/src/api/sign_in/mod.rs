//! Sign-ins of browsers: an access key makes one, a cookie proves it in each further request.
//!
//! Data flow: CreateSignIn, signed by the page -> a row in the store -> [`cookie`] (the row's id,
//! sealed) -> [`proof`] (cookie, origin, CSRF value, times) -> the same
//! [`Caller`](super::call::Caller) as of a signature -> policy, audit and limits as for every caller.
//!
//! # Invariants
//! - The row decides: sign-out, the end of the access key and the end of the time count at once.
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
mod settings;

pub use settings::SignInSettings;
