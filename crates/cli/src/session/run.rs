//! One session from the first request to its end, on standard input and output.
//!
//! Data flow: [`run`] asks for the session, opens its websocket ([`link`]), sets up the local end
//! ([`Local`]) and drives both ([`Driver`]) until there is an [`Ending`].
//!
//! # Invariants
//! - The terminal is raw only while bytes flow. It is restored before the end is reported.

use std::io;
use std::os::fd::AsFd;

use super::begin::{Begin, Manner};
use super::driver::Driver;
use super::ending::Ending;
use super::error::SessionError;
use super::link::{self, Begun};
use super::local::Local;
use crate::api::Client;
use crate::terminal::reader::{self, Reader};

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
        // The gateway ends a session that was created meanwhile and has no client.
        () = reader::gone(reader.as_ref()) => return Ok(Ending::abandoned()),
    };
    let local = Local::open(manner)?;
    // The driver owns the raw terminal: it is put back before the ending is returned.
    Driver::new(session, link, local, manner, reader).run(token).await
}
