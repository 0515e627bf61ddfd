//! Several gateways at work on one store: what one node asks of another, and what it does for the
//! whole.
//!
//! Data flow: [`membership`] renews nothing itself (the store's lease does): it releases what
//! another node carries, and takes over from nodes that are dead. A request that another node has
//! to answer goes there over the port that is there, by TLS with raw keys of the `nodes` table
//! ([`Calls`]); [`PeerListener`] serves it. A data channel is relayed by [`relay()`].
//!
//! # Invariants
//! - A node answers another node's calls as long as its key stands among the nodes.
//! - What is passed on carries the caller's own signature, which the answering node judges itself.
//!   It is passed on once.
//! - Calls have a deadline, relays a bound on their number.

mod calls;
mod commands;
mod directory;
mod drain;
mod elsewhere;
mod failures;
mod invitation;
mod joining;
mod listener;
pub mod membership;
mod node_key;
mod orders;
mod relay;
mod routes;
mod tls;

pub use calls::Calls;
pub use commands::ClusterCommands;
pub use directory::Directory;
pub use drain::Drain;
pub use elsewhere::{ClusterPresence, ClusterSessions};
pub use failures::{Throttles, keep as share_failures};
pub use invitation::{Token, TokenError};
pub use joining::{Files, Inviter, Joiner, Wanted, join};
pub use listener::PeerListener;
pub use node_key::{NODE_KEY, NodeKey, NodeKeyError};
pub use orders::NodeOrders;
pub use relay::{RelayState, relay};
pub use routes::routes;
pub use tls::server_config;
