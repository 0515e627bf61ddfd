//! What the commands share: the client, the environment, the output, and small conversions.
//!
//! # Invariants
//! - Each request has the credentials of `login` as they are by then: a command that goes on for
//!   hours renews them as a new one would.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use towline_ssm::Operation;
use towline_ssm::api::Empty;
use towline_ssm::api::admin::RightsRemoved;
use towline_ssm::api::tags::Tag;
use towline_ssm::clock::{EpochSeconds, format_iso8601};

use super::login_renewal::Renewing;
use super::step_up;
use super::target::{self, TargetError};
use crate::api::{CallError, Client, Paged};
use crate::args::Global;
use crate::config::{Environment, Settings};
use crate::exit::Failure;
use crate::limits::MAX_DOCUMENT;
use crate::output::Output;

/// What a command that speaks to the gateway works with.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) env: Environment,
    pub(super) output: Output,
    /// For who has the credentials of `login`.
    renewing: Option<Renewing>,
}

impl Context {
    pub(super) fn new(global: &Global, env: Environment, output: Output) -> Result<Self, Failure> {
        let settings = Settings::resolve(&global.flags(), &env)?;
        let renewing = Renewing::of(&settings, &env)?;
        Ok(Self { client: Client::new(settings), env, output, renewing })
    }

    /// Signs further requests with the credentials of `login` as they are by now.
    async fn renew(&mut self) -> Result<(), Failure> {
        let Some(renewing) = &mut self.renewing else { return Ok(()) };
        if let Some(identity) = renewing.now(self.client.settings(), &self.env).await? {
            self.client.sign_as(identity);
        }
        Ok(())
    }

    pub(super) async fn call<A: DeserializeOwned>(
        &mut self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<A, Failure> {
        self.renew().await?;
        match self.client.call(operation, request).await {
            Err(error) if self.may_go_on(&error).await? => {
                Ok(self.client.call(operation, request).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// A whole list.
    pub(super) async fn list<R: Paged + Clone>(
        &mut self,
        request: R,
    ) -> Result<Vec<R::Item>, Failure> {
        self.list_most(request, usize::MAX).await
    }

    /// The first so many of a list.
    pub(super) async fn list_most<R: Paged + Clone>(
        &mut self,
        request: R,
        most: usize,
    ) -> Result<Vec<R::Item>, Failure> {
        self.renew().await?;
        match self.client.list_most(request.clone(), most).await {
            Err(error) if self.may_go_on(&error).await? => {
                Ok(self.client.list_most(request, most).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// The id of the device that a text names.
    pub(super) async fn device(&mut self, text: &str) -> Result<String, Failure> {
        self.renew().await?;
        match target::resolve(&mut self.client, text).await {
            Err(TargetError::Call(error)) if self.may_go_on(&error).await? => {
                Ok(target::resolve(&mut self.client, text).await?)
            }
            found => Ok(found?),
        }
    }

    /// Whether the request that failed so can be made again, because the person has proved a second
    /// factor meanwhile.
    async fn may_go_on(&mut self, error: &CallError) -> Result<bool, Failure> {
        if !error.wants_second_factor() {
            return Ok(false);
        }
        step_up::prove(&mut self.client, &self.env).await
    }

    /// Runs an operation that may take rights, and prints what that means for open sessions.
    pub(super) async fn removal(
        &mut self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<(), Failure> {
        let answer: RightsRemoved = self.call(operation, request).await?;
        self.output.answer(&answer, |_| removed_text(&answer))
    }

    /// Runs an operation that answers nothing, and prints nothing (JSON: an empty object).
    pub(super) async fn done(
        &mut self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<(), Failure> {
        let _: Empty = self.call(operation, request).await?;
        self.output.done()
    }
}

/// What became of the sessions and the commands of who lost a right.
pub(super) fn removed_text(removed: &RightsRemoved) -> String {
    let sessions = match (removed.ended_sessions, removed.live_sessions) {
        (0, 0) => String::new(),
        (0, live) => format!("open sessions that go on: {live} (--end-sessions ends them)\n"),
        (ended, _) => format!("sessions ended: {ended}\n"),
    };
    match removed.towline_open_commands {
        0 => sessions,
        open => format!("{sessions}commands that go on: {open} (--end-sessions cancels them)\n"),
    }
}

pub(super) fn tags(pairs: Vec<(String, String)>) -> Vec<Tag> {
    pairs.into_iter().map(|(key, value)| Tag { key, value }).collect()
}

pub(super) fn tags_text(tags: &[Tag]) -> String {
    tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect::<Vec<_>>().join(",")
}

pub(super) fn time_text(time: Option<EpochSeconds>) -> String {
    time.map(|time| format_iso8601(time.secs())).unwrap_or_default()
}

/// The text of a file, or of standard input for `-`.
pub(super) fn read_document(path: &Path) -> Result<String, Failure> {
    use std::io::Read;
    let failed = |why| Failure::Local { what: format!("cannot read {}", path.display()), why };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_DOCUMENT + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_DOCUMENT + 1).read_to_string(&mut text))
    };
    if read.map_err(failed)? as u64 > MAX_DOCUMENT {
        return Err(Failure::Usage(format!(
            "{} is larger than {MAX_DOCUMENT} bytes",
            path.display()
        )));
    }
    Ok(text)
}
