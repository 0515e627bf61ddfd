//! One session from the first request to its end, on standard input and output.
//!
//! Data flow: [`run`] sets up the local end ([`Local`]), asks for the session and opens its
//! websocket ([`connect`]), and drives both ([`Driver`]) until there is an [`Ending`].
//!
//! # Invariants
//! - The terminal is raw from the first request on, so that escapes and `^C` work while the gateway
//!   is waited for, and is restored before the end is reported.

use std::io;

use super::begin::{Begin, Manner};
use super::connect::{Connected, connect};
use super::driver::Driver;
use super::ending::Ending;
use super::error::SessionError;
use super::link::{self, Begun};
use super::local::Local;
use crate::api::Client;
use crate::platform::Reader;

/// Runs a session to its end.
///
/// # Errors
/// [`SessionError`] when there is no end to report.
pub(crate) async fn run(
    client: Client,
    begin: Begin,
    manner: Manner,
) -> Result<Ending, SessionError> {
    let reader = manner.bulk.then(|| Reader::of(io::stdout()));
    // It owns the raw terminal: it is put back before an error or the ending is returned.
    let mut local = Local::open(manner)?;
    if matches!(begin, Begin::Resume(_) | Begin::Join(_)) {
        local.return_to_it();
    }
    let begun = Box::pin(link::begin(client, begin));
    let Begun { link, session, token, notice } =
        match connect(begun, &mut local, manner, reader.as_ref()).await? {
            Connected::Begun(begun) => *begun,
            Connected::Left(ending) => return Ok(ending),
        };
    if !link.speaks_aws() {
        // Where AWS's dialect is spoken, the other end puts prefixes before the text.
        for (writer, prefix) in local.writers.iter_mut().zip(manner.prefixes) {
            writer.set_prefix(prefix);
        }
    }
    if let Some(notice) = notice {
        local.status.say(&[format!("towline: {notice}")]);
    }
    Driver::new(session, link, local, manner, reader).run(token).await
}
