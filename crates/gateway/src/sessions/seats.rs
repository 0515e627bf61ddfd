//! Who has the seat of a session, in the session's row: it outlives the gateway.
//!
//! Data flow: another user or client attaches, or loses the seat -> [`Hub::store_seat`] -> the row
//! -> a gateway that takes the session up begins with it ([`restore`]).
//!
//! # Invariants
//! - The row says in the end who has the seat: one writer a session at a time, which writes again
//!   when the seat has changed meanwhile. What the store did not take is written with the next
//!   change of the session.
//! - A seat that cannot be read is the owner's.
//! - A session that nobody takes over has no write for its seat.

use std::sync::Arc;

use super::hub::Hub;
use super::session::Session;

impl Hub {
    /// Stores who has the seat of a session, where the store says something else. Nobody waits for
    /// it.
    pub(super) fn store_seat(self: &Arc<Self>, session: &Arc<Session>) {
        if session.unstored_seat().is_none() {
            return;
        }
        let (hub, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move {
            let _storing = session.storing_seat.lock().await;
            while let Some(kept) = session.unstored_seat() {
                let text = serde_json::to_string(&kept).unwrap_or_default(); // texts alone
                let name = &session.meta.name;
                if let Err(error) = hub.store().sessions().set_seat(name, &text).await {
                    tracing::warn!(session = name, %error, "it is not stored who has the seat");
                    return;
                }
                session.seat_stored(kept);
            }
        });
    }
}

/// Who had the seat of a session that is taken up again has it.
pub(super) fn restore(session: &Session, row: &towline_store::Session) {
    if row.seat.is_empty() {
        return;
    }
    match serde_json::from_str(&row.seat) {
        Ok(kept) => session.restore_seat(kept),
        Err(error) => {
            let session = &row.new.id;
            tracing::warn!(session, %error, "the seat cannot be read: it is the owner's");
        }
    }
}
