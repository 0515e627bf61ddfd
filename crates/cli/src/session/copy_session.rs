//! The session of a copy: begun, used, and ended on every way out.
//!
//! Data flow: [`copy()`] asks for the session, gives a [`Copier`] to the work, and ends the
//! session: after the work, after its failure, and after a signal.
//!
//! # Invariants
//! - A failure or a signal closes the session at the gateway. If the stream cannot carry the close,
//!   the API is asked to terminate the session.
//! - A signal that comes while the session is being asked for waits for the answer, for at most
//!   [`CLOSE_TIMEOUT`]: a session that comes of the request is closed too.
//!
//! # Not here
//! - A client that is killed: the gateway ends its session.

use tokio::time::timeout;

use super::begin::Begin;
use super::copier::{Copier, CopyError};
use super::error::SessionError;
use crate::api::Client;
use crate::limits::CLOSE_TIMEOUT;
use crate::platform::Signals;

/// How a copy ended.
#[derive(Debug)]
pub(crate) enum Copied<T> {
    /// The work is done.
    Done(T),
    /// A signal to this program, by its number.
    Signal(u8),
}

/// Begins a session, does `work` with it, ends it. `say` is told about the connection.
///
/// # Errors
/// Those of the session and of the work.
pub(crate) async fn copy<T>(
    client: Client,
    begin: Begin,
    say: &mut dyn FnMut(&str),
    work: impl AsyncFnOnce(&mut Copier<'_>) -> Result<T, CopyError>,
) -> Result<Copied<T>, CopyError> {
    let local = |why| SessionError::Local { what: "cannot listen to signals", why };
    let mut signals = Signals::listen(false, false).map_err(local)?;
    let mut beginning = Box::pin(Copier::begin(client, begin, say));
    let mut copier = tokio::select! {
        begun = &mut beginning => begun?,
        signal = signals.next() => {
            if let Ok(Ok(copier)) = timeout(CLOSE_TIMEOUT, beginning).await {
                copier.abandon().await;
            }
            return Ok(Copied::Signal(signal.number()));
        }
    };
    let result = {
        let mut working = Box::pin(work(&mut copier));
        tokio::select! {
            result = &mut working => result.map(Copied::Done),
            signal = signals.next() => Ok(Copied::Signal(signal.number())),
        }
    };
    match &result {
        Ok(Copied::Done(_)) => copier.end().await,
        Ok(Copied::Signal(_)) | Err(_) => copier.abandon().await,
    }
    result
}
