//! The person behind a forward, when it begins a further session.
//!
//! # Invariants
//! - Nobody is asked before a session was refused.
//!
//! # Not here
//! - How a person is asked: [`crate::commands`].

use crate::api::CallError;
use crate::config::Settings;
use crate::exit::Failure;

/// What a refusal of a further session leads to.
pub(crate) enum Proof {
    /// The person proved who she is: with these settings it is asked for once more.
    Again(Box<Settings>),
    /// It stays refused; the next connection may have more luck.
    Refused,
    /// It stays refused, and nothing that happens elsewhere can help this program.
    Over,
}

/// Who can sign in again, or prove a second factor, between the sessions of a forward.
pub(crate) trait Person {
    /// The settings for a further session: those `before`, or with credentials that were renewed
    /// without a question.
    ///
    /// # Errors
    /// There are none that hold.
    async fn settings(&mut self, before: &Settings) -> Result<Settings, Failure>;

    /// What a refusal leads to.
    ///
    /// # Errors
    /// The person was asked and proved nothing.
    async fn prove(&mut self, refusal: &CallError) -> Result<Proof, Failure>;
}

/// Nobody: of a session that is not begun again.
pub(crate) struct Nobody;

impl Person for Nobody {
    async fn settings(&mut self, before: &Settings) -> Result<Settings, Failure> {
        Ok(before.clone())
    }

    async fn prove(&mut self, _: &CallError) -> Result<Proof, Failure> {
        Ok(Proof::Refused)
    }
}
