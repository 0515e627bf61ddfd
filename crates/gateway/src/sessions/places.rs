//! Places of a device: how many one principal may have, and which sessions make room for a new one.
//!
//! Data flow: a start -> the principal's share is free, or one of its sessions without a client
//! ends -> the order -> the device has no place -> a session that nobody is attached to ends, and
//! the order is sent again -> at last the place for a repair, for who may use it.
//!
//! # Invariants
//! - Shares are of persons, by id: roles and names of their sessions give nobody more, and a later
//!   user of a name ends no session of the former one.
//! - A session with a client never makes room. Of another principal only one makes room whose
//!   program has ended.
//! - A detached session never makes room.
//! - Steps of commands neither take a share nor make room.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::device::Device;
use super::hub::Hub;
use super::order::Order;
use super::session::Session;
use crate::limits::ROUNDS_FOR_A_PLACE;
use crate::plane::{EndReason, SessionStart, StartError};

/// Why a session without a client ended early.
const MADE_ROOM: &str = "ended: no client was attached, and a new session needed its place";

impl Hub {
    /// Whether the principal may have one more session on the device: at most half of what the
    /// device allows. Who may use the place for a repair is not bound by it.
    ///
    /// # Errors
    /// [`StartError::ShareTaken`], when none of its sessions can make room.
    pub(super) fn check_share(
        self: &Arc<Self>,
        device: &dyn Device,
        start: &SessionStart,
    ) -> Result<(), StartError> {
        let Some(most) = device.most_sessions().filter(|_| !start.may_use_reserve) else {
            return Ok(());
        };
        let share = most.div_ceil(2).max(1);
        let own = |session: &Arc<Session>| {
            !session.meta.step && session.meta.share_of == start.share_of()
        };
        let taken = self.sessions_of(device.id()).iter().filter(|session| own(session)).count();
        if taken < usize::try_from(share).unwrap_or(usize::MAX)
            || self.make_room(device.id(), start.share_of(), false)
        {
            return Ok(());
        }
        Err(StartError::ShareTaken { share, most })
    }

    /// Ends the session that has waited longest for a client. False: there is none.
    fn make_room(self: &Arc<Self>, device: &str, share_of: &str, of_others: bool) -> bool {
        let waits = |session: &Arc<Session>| -> Option<(bool, bool, Instant)> {
            if session.meta.is_detached() {
                return None;
            }
            let (since, exited) = session.since()?;
            let alone = since.no_client.filter(|_| since.ever_attached && !session.meta.step)?;
            let own = session.meta.share_of == share_of;
            (own || of_others && exited.is_some()).then_some((!own, exited.is_none(), alone))
        };
        let sessions = self.sessions_of(device);
        let victim = sessions
            .iter()
            .filter_map(|session| Some((waits(session)?, session)))
            .min_by_key(|(order, _)| *order);
        let Some((_, victim)) = victim else { return false };
        self.end(victim, EndReason::ClientLost, MADE_ROOM);
        true
    }

    /// The device's answer to an order. While it has no place, sessions make room and the order is
    /// sent again.
    pub(super) async fn answer(
        self: &Arc<Self>,
        device: &Arc<dyn Device>,
        session: &Arc<Session>,
        start: &SessionStart,
        order: Order<'_>,
        mut opened: oneshot::Receiver<Result<(), StartError>>,
    ) -> Result<(), StartError> {
        let mut order = order;
        for _ in 0..ROUNDS_FOR_A_PLACE {
            let busy = match opened.await {
                Ok(Err(busy @ StartError::Busy { .. })) => busy,
                Ok(answer) => return answer,
                Err(_) => {
                    let why = "the session ended while it was opened";
                    return Err(StartError::Internal(why.to_owned()));
                }
            };
            if !self.make_room(device.id(), start.share_of(), true) {
                if order.reserved || !start.may_use_reserve {
                    return Err(busy);
                }
                order.reserved = true;
                let facts = vec![
                    ("sessionId", order.session.to_owned()),
                    ("principal", start.principal_arn.clone()),
                ];
                self.device_event("ReservedSessionUsed", device.id(), facts);
            }
            let Some(again) = session.order_again() else { return Err(busy) };
            opened = again;
            self.open_on(device, &order, session)?;
        }
        Err(StartError::Busy { why: "its sessions do not end".to_owned() })
    }
}
