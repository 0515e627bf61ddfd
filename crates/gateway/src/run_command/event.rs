//! The events that the scheduler of commands handles: a closed list.

use tokio::sync::oneshot;
use towline_wire::lane::Lanes;

use super::step::End;

/// Everything that can happen to commands. A closed list, but for devices that come and time that
/// goes.
pub(super) enum Event {
    /// A command was stored.
    Sent { id: String, done: oneshot::Sender<()> },
    /// Somebody stops a command.
    Cancel { id: String, devices: Option<Vec<String>>, done: oneshot::Sender<()> },
    /// A device was deregistered.
    Removed { device: String, done: oneshot::Sender<()> },
    /// A device has come from another node, with steps of these commands that it may hold.
    Come { device: String, commands: Vec<String>, done: oneshot::Sender<()> },
    /// Another node has changed commands.
    Look { done: oneshot::Sender<()> },
    /// A task's device is there and runs the step, or is lost.
    Active { command: String, device: String, active: bool },
    /// A task is over.
    Over {
        command: String,
        device: String,
        over: Over,
        written: Lanes<u64>,
        missing: u64,
        heads: Option<Lanes<Vec<u8>>>,
        /// False: another node carries it.
        stored: oneshot::Sender<bool>,
    },
}

/// How a task came to its end.
#[derive(Debug)]
pub(super) enum Over {
    /// The step is over.
    Ended(End),
    /// The device has started it before, or does not know.
    HadBefore(String),
    /// The device does not hold it: it may be given again.
    NotHeld,
    /// The device, or what is bounded on the way to it, has no room for it: later.
    Busy,
}
