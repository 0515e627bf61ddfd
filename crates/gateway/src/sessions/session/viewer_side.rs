//! What a viewer's channel asks of a session. Nothing of it reaches the device.
//!
//! # Invariants
//! - Only sessions with a terminal are watched, and keep the end of their output.
//! - Who watches stands in the recording and is told to the client, unless the viewer is unseen.

use std::sync::Arc;

use towline_wire::client::ToClient;
use towline_wire::message::Size;

use super::session::{Core, Phase, Session};
use crate::plane::{WatchError, Watcher};
use crate::sessions::queue::{ClientQueue, ToChannel};
use crate::sessions::token::Token;
use crate::sessions::viewers::{ToViewer, Viewer};

impl Session {
    /// Keeps a place for a viewer who comes with this token.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn permit_watch(&self, who: Watcher, token: Token) -> Result<Arc<Viewer>, WatchError> {
        if !self.meta.has_terminal() {
            return Err(WatchError::NoTerminal);
        }
        let mut core = self.lock();
        if matches!(core.phase, Phase::Ended) {
            return Err(WatchError::Over);
        }
        core.viewers.permit(who, token)
    }

    /// The viewer of this token, and the size of the terminal as far as it is known.
    ///
    /// # Errors
    /// Words for the viewer.
    pub fn watch(&self, token: &str) -> Result<(Arc<Viewer>, Option<Size>), &'static str> {
        let mut core = self.lock();
        if matches!(core.phase, Phase::Ended) {
            return Err("the session is over");
        }
        let found = core.viewers.attach(token);
        let (viewer, size) =
            found.ok_or("the token is wrong, used, or too old: call WatchSession for a new one")?;
        if !viewer.who.unseen {
            core.mark(&format!("watched by {}", viewer.who.arn));
            core.tell_viewers(None);
        }
        Ok((viewer, size))
    }

    /// The viewer's channel is closed.
    pub fn viewer_gone(&self, viewer: &Viewer) {
        let core = self.lock();
        if !viewer.who.unseen && !matches!(core.phase, Phase::Ended) {
            core.mark(&format!("no longer watched by {}", viewer.who.arn));
            core.tell_viewers(Some(viewer));
        }
    }

    /// Takes what waits for a viewer. The second value is true when nothing will ever follow.
    #[must_use]
    pub fn take_for(&self, viewer: &Viewer) -> (Vec<ToViewer>, bool) {
        self.lock().viewers.take(viewer)
    }

    /// The client takes notices: words that concern the session outside of its bytes.
    pub fn hears_notices(&self, queue: &Arc<ClientQueue>) {
        let mut core = self.lock();
        if core.is_client(queue) {
            core.hears = true;
            if !core.viewers.seen(None).is_empty() {
                core.tell_viewers(None);
            }
            core.tell_near_access_end();
        }
    }
}

impl Core {
    fn mark(&self, text: &str) {
        if let Some(tape) = &self.tape {
            tape.marker(text);
        }
    }

    /// Tells the client who watches.
    fn tell_viewers(&self, but: Option<&Viewer>) {
        self.notify(ToClient::Watched { by: self.viewers.seen(but) });
    }

    /// Gives a notice to a client that takes notices.
    pub(super) fn notify(&self, notice: ToClient) {
        if self.hears {
            self.tell(ToChannel::Word(notice));
        }
    }
}
