//! What an administrator at the server orders about the nodes: a token for a further one, its
//! approval, its removal.
//!
//! # Not here
//! - The socket by which the orders come: [`crate::local`].

use std::sync::Arc;

use towline_host::clock::{Clock, UnixMillis};
use towline_store::Store;

use super::calls::Calls;
use super::directory::Directory;
use super::invitation::Token;
use crate::audit::{AuditLog, Event};
use crate::limits::INVITATION_LIFE;

/// What orders are carried out with.
pub struct NodeOrders {
    /// The store.
    pub store: Store,
    /// The audit trail.
    pub audit: AuditLog,
    /// The time.
    pub clock: Clock,
    /// The nodes, as known.
    pub directory: Arc<Directory>,
    /// The digest of this node's key.
    pub key: [u8; 32],
    /// Where other nodes reach this one.
    pub address: String,
}

impl NodeOrders {
    /// Of the node with these calls, which others reach at this address.
    #[must_use]
    pub fn new(calls: &Calls, address: &str, parts: (Store, AuditLog, Clock)) -> Self {
        let (store, audit, clock) = parts;
        let (directory, key) = (calls.directory(), calls.own_digest());
        Self { store, audit, clock, directory, key, address: address.to_owned() }
    }

    /// A token for one further gateway.
    ///
    /// # Errors
    /// In words.
    pub async fn invite(&self, ca_key: bool, uid: u32) -> Result<String, String> {
        let token = Token::fresh(self.key, &self.address).map_err(|error| error.to_string())?;
        let now = self.clock.now();
        let life = i64::try_from(INVITATION_LIFE.as_millis()).unwrap_or(i64::MAX);
        let ends_at = UnixMillis(now.0.saturating_add(life));
        let all = self.store.invitations();
        let added = all.add(&token.digest(), ca_key, now, ends_at).await;
        match added.map_err(|error| error.to_string())? {
            true => {
                let facts = vec![("withCaKey", ca_key.to_string())];
                let kept = self.audit.write_first(event("CreateJoinToken", facts, uid)).await;
                kept.map(|()| token.text()).map_err(|error| {
                    format!("the audit trail takes no lines, so no token is given out: {error}")
                })
            }
            false => Err("there are too many tokens: they end after 15 minutes".to_owned()),
        }
    }

    /// A node that waits may work, or a node may not any more.
    ///
    /// # Errors
    /// In words.
    pub async fn decide(&self, name: &str, may_work: bool, uid: u32) -> Result<(), String> {
        if !may_work && self.store.node() == Some(name) {
            return Err("this is the gateway itself: order it at another one".to_owned());
        }
        let all = self.store.invitations();
        let (said, none, done) = if may_work {
            ("ApproveGateway", "waits or was removed", all.approve(name).await)
        } else {
            ("RemoveGateway", "may work or waits", all.remove(name).await)
        };
        match done.map_err(|error| error.to_string())? {
            true => {
                if let Err(error) = self.directory.refresh().await {
                    tracing::debug!(%error, "the nodes are read again in a moment");
                }
                self.audit.write(event(said, vec![("node", name.to_owned())], uid)).await;
                Ok(())
            }
            false => Err(format!("no node of the name {name} {none}: see `towline-gateway nodes`")),
        }
    }
}

fn event(name: &str, mut facts: Vec<(&'static str, String)>, uid: u32) -> Event {
    facts.push(("uid", uid.to_string()));
    Event {
        source: "towline",
        name: name.to_owned(),
        source_ip: "local".to_owned(),
        facts,
        ..Event::default()
    }
}
