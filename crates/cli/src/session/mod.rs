//! A session from the first request to the exit code: one task, one loop, a closed list of events.
//!
//! Way: [`run`] asks for the session, opens its websocket, sets up the local end ([`local`]) and
//! drives both ([`driver`]) until there is an [`Ending`].
//!
//! # Invariants
//! - The terminal is raw only while bytes flow, and put back before anything is said about the end.
//! - A lost websocket is made anew from within; what the operator sees has no byte missing and none
//!   twice.
//! - What ends a session on purpose (`~.`, a closed terminal, a signal) tells the gateway, and
//!   waits for its answer for at most [`driver::CLOSING`].
//!
//! # Not here
//! - What may be asked of whom: the gateway and the device decide.

mod aws;
mod copier;
mod driver;
mod end_of_input;
mod ending;
mod forward;
mod link;
mod listen;
mod local;
mod locals;
mod outlet;
mod patience;
mod pipe;
mod signals;
mod streams;

use std::io;
use std::os::fd::AsFd;

use towline_ssm::api::session::StartSessionRequest;

pub(crate) use aws::CLIENT_VERSION;
pub(crate) use copier::{Copier, CopyError};
pub(crate) use ending::{Ending, printable};
pub(crate) use forward::{Forward, forward};
pub(crate) use link::Token;
pub(crate) use listen::{Listen, Listener};

use crate::api::{CallError, Client};
use crate::terminal::reader::Reader;
use driver::Driver;
use link::Begun;
use local::Local;

/// How a session begins.
#[derive(Debug)]
pub(crate) enum Begin {
    /// A new one.
    Start(StartSessionRequest),
    /// One that goes on: its id.
    Resume(String),
    /// One that somebody else asked the gateway for.
    Given {
        /// Its id.
        session: String,
        /// Where its stream is.
        stream_url: String,
        /// For the first message.
        token: Token,
    },
}

/// How the operator's end takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// The session has a terminal on the device: here it is raw, when there is one.
    pub terminal: bool,
    /// Standard input is read.
    pub input: bool,
    /// The escape character.
    pub escape: Option<u8>,
    /// Another program has started us and waits, deaf to the keyboard's signals, which it made us
    /// ignore as well: they are for us all the same, and to stop for a while would stop nothing but
    /// ourselves.
    pub guest: bool,
    /// Standard error of the device comes on our standard output.
    pub joined: bool,
    /// A stream of bytes for another program: much room on the way, and every signal means the end,
    /// as does that nobody reads it any more.
    pub bulk: bool,
}

impl Manner {
    /// A terminal on the device, and this one for it.
    #[must_use]
    pub(crate) fn on_screen(escape: Option<u8>) -> Self {
        Self { terminal: true, input: true, escape, guest: false, joined: false, bulk: false }
    }

    /// A command; `input` when it reads ours.
    #[must_use]
    pub(crate) fn command(input: bool) -> Self {
        Self { terminal: false, input, escape: None, guest: false, joined: false, bulk: false }
    }

    /// One connection, on standard input and output.
    #[must_use]
    pub(crate) fn proxy(guest: bool) -> Self {
        Self { terminal: false, input: true, escape: None, guest, joined: false, bulk: true }
    }
}

/// Why a session did not come about, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SessionError {
    /// The gateway said no, or was not there.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The gateway was lost and did not come back.
    #[error(
        "the gateway did not come back in time: {last}. The session may go on at the device: towline attach {session}"
    )]
    NotBack {
        /// The session.
        session: String,
        /// Why the last try failed.
        last: CallError,
    },
    /// The session was lost on the way, and is over at the gateway.
    #[error("the session is over: {0}")]
    Over(CallError),
    /// One end broke the rules.
    #[error(transparent)]
    Broken(#[from] streams::Broken),
    /// The local end cannot be used.
    #[error("{what}: {why}")]
    Local {
        /// What cannot be done.
        what: &'static str,
        /// What the system says.
        why: io::Error,
    },
}

/// Runs a session to its end.
///
/// # Errors
/// [`SessionError`] when there is no end to report.
pub(crate) async fn run(
    client: Client,
    begin: Begin,
    manner: Manner,
) -> Result<Ending, SessionError> {
    let reader = manner.bulk.then(|| Reader::of(io::stdout().as_fd()));
    let Begun { link, session, token } = tokio::select! {
        begun = link::begin(client, begin) => begun?,
        // A session that was made meanwhile ends for want of a client.
        () = abandoned(reader.as_ref()) => return Ok(Ending::abandoned()),
    };
    let local = Local::open(manner)?;
    // The driver owns the raw terminal: it is put back before the ending is returned.
    Driver::new(session, link, local, manner, reader).run(token).await
}

/// Waits until nobody reads our output any more, if that is to be an end.
async fn abandoned(reader: Option<&Reader>) {
    match reader {
        Some(reader) => reader.gone().await,
        None => std::future::pending().await,
    }
}
