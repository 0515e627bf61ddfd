//! What a session needs of the device's side, whatever protocol the device speaks.
//!
//! Data flow: client -> session -> [`DeviceEnd`] -> the device's connection. The other direction
//! needs no interface: the connection's task calls the session.
//!
//! # Invariants
//! - Nothing here waits. What does not fit ends the connection, or is refused to the client.
//! - A session calls these methods while it is locked: an implementation locks only its own queues
//!   and never calls back.

use std::sync::atomic::{AtomicU64, Ordering};

use towline_wire::lane::{Lane, Lanes};
use towline_wire::message::Size;

use crate::plane::EndReason;

/// One connection of a device, for the life of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// A number that no other connection has.
    #[must_use]
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a session tells its device besides bytes, positions and credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The terminal has another size.
    Resize(Size),
    /// Deliver this signal.
    Signal(u8),
    /// No client is attached: stop sending output.
    Detach,
    /// End the session for this reason.
    Close(EndReason),
    /// The session ended on the device, and its end was delivered.
    Forget,
    /// Report what the terminal does with input.
    TellEcho,
}

/// One session on one connection of its device.
pub trait DeviceEnd: Send + Sync {
    /// The connection.
    fn connection(&self) -> ConnectionId;
    /// Whether stderr has a lane of its own.
    fn separates_err(&self) -> bool;
    /// Whether the device can report what its terminal does with input.
    fn tells_echo(&self) -> bool;
    /// Asks for output from these positions on, with so much room; input that waits is dropped.
    fn attach(&self, attachment: u32, received: Option<Lanes<u64>>, room: Lanes<u32>);
    /// Passes input on.
    fn input(&self, offset: u64, data: &[u8]);
    /// Input ends at this length.
    fn input_end(&self, length: u64);
    /// Passes the client's credit on.
    fn credit(&self, lane: Lane, acked: u64, limit: u64);
    /// Queues a control message of the gateway's own.
    fn control(&self, control: Control);
    /// Queues a control message of a client. False: too many wait, and the client has to go; other
    /// sessions of the device are not affected.
    fn offer(&self, control: Control) -> bool;
    /// The session is over: its streams are free, and what waits for them is dropped.
    fn release(&self);
    /// The device broke the rules of the stream: its connection ends with this reason.
    fn violated(&self, why: &str);
}
