//! The rendezvous: sessions by name, links by device, and what happens to the one when the other
//! comes or goes.
//!
//! Data flow: the API calls [`Hub`] through [`crate::plane::Sessions`]; agents' links report to it
//! ([`crate::devices`]); data channels ask it for their session ([`Hub::session`]).
//!
//! # Invariants
//! - A session stands in the map from before its open is sent until its end; its row is written at
//!   both.
//! - What an agent reports about a session that is not in the map is answered with Close or Forget:
//!   the gateway's word on what is alive counts, and it survives restarts in the store.
//!
//! # Not here
//! - No HTTP, no SQL, no TLS types.

mod adoption;
mod arrivals;
mod claims;
mod device;
mod device_end;
mod end_reason;
mod endings;
mod handle;
mod hub;
mod meta;
mod opening;
mod order;
mod places;
mod positions;
mod queue;
mod recording;
mod restating;
mod restoring;
mod scripts;
mod seats;
mod session;
mod session_map;
mod step_name;
mod tail;
#[cfg(test)]
mod tests;
mod token;
mod tunnel;
#[cfg(test)]
pub(crate) mod unrecorded;
mod unsure;
mod viewers;
mod wanted_ends;
mod watch;

pub use arrivals::Arrivals;
pub use device::Device;
pub use device_end::{ConnectionId, Control, DeviceEnd};
pub use handle::HubHandle;
pub use hub::{Hub, HubParts, HubSettings};
pub use order::{Order, Script, Work};
pub use queue::{ClientQueue, ToChannel};
pub use scripts::{StepSession, StepsCome};
pub use session::Session;
pub(crate) use step_name::{of_step, session_name};
pub use viewers::{ToViewer, Viewer};
