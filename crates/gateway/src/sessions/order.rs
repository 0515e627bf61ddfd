//! An order to a device: what to start, for which principal.
//!
//! Data flow: `opening` (sessions of people) or `scripts` (steps of commands) -> [`Order`] ->
//! [`Device::open`](super::Device::open), which puts it into the device's protocol and proves it.

use towline_host::clock::UnixMillis;
use towline_ssm::command_document::{Interpreter, Platform};
use towline_ssm::documents::SessionPlan;
use towline_ssm::documents::preferences::SessionPreferences;
use towline_wire::message::Destination;

use crate::plane::Terminal;

/// What to start, for which principal.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Name of the session.
    pub session: &'a str,
    /// ARN of the principal.
    pub principal: &'a str,
    /// Whose share of the device's grants it takes: the id of the user behind it, where it is
    /// known.
    pub share_of: &'a str,
    /// The document.
    pub document: &'a str,
    /// User to run as; `None`: the device's own default.
    pub run_as: Option<&'a str>,
    /// The system of the device by which a session was judged; `None`: it has not said one, and was
    /// judged as Linux.
    pub platform: Option<Platform>,
    /// It may use the device's place for a repair.
    pub reserved: bool,
    /// What to start.
    pub work: Work<'a>,
}

/// What to start.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// A session of a person.
    Session {
        /// What its document means.
        plan: &'a SessionPlan,
        /// Where it leads, when it is a tunnel.
        tunnel: Option<&'a Destination>,
        /// The account's and the document's preferences.
        preferences: &'a SessionPreferences,
        /// The client's terminal, if it told it.
        terminal: Option<&'a Terminal>,
    },
    /// A step of a command. Its bytes follow the order at once.
    Script(Script<'a>),
}

/// A step of a command.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// The script.
    pub bytes: &'a [u8],
    /// What runs it.
    pub interpreter: Interpreter,
    /// Where it runs; empty: the user's home.
    pub working_directory: &'a str,
    /// Seconds after which the device ends it.
    pub timeout: u32,
    /// Starts of the agent that may have started it.
    pub given_to: &'a [[u8; 16]],
    /// When it was given to the device for the first time.
    pub first_given: UnixMillis,
}
