//! Programs without a browser sign in by a code that a person enters in the console (the device
//! flow of RFC 8628, served here).
//!
//! Data flow: [`routes()`] `POST /sign-in/requests` -> the store -> the program shows the user code
//! -> a signed-in person looks at the request and decides ([`operations`]) -> the program polls
//! `POST /sign-in/requests/token`, at the pace of [`waiting`], and gets temporary credentials of
//! that person.
//!
//! # Invariants
//! - Credentials go to the program that asked: it proves itself by its code and its verifier
//!   (PKCE).
//! - A person decides by the cookie of a sign-in, and sees where the request came from first. The
//!   address of the page holds no code: who sends a link has to send the code as well. The mark in
//!   it is for this alone: a provider that refuses the person on the way there ends the request,
//!   and its program learns why.
//! - The program gets what the person's sign-in has, no more and for no longer.
//! - Requests are bounded, in all and by source; a wrong user code counts as a failure of its
//!   source.

mod operations;
mod routes;
mod waiting;

pub(super) use routes::routes;
pub(super) use waiting::Paces;
