//! What a tunnel reports to the session table.

use towline_wire::message::ExitStatus;
use towline_wire::smux::Broken;

/// News of a tunnel.
#[derive(Debug)]
pub enum News {
    /// It is there; or not, and why.
    Started(Result<(), String>),
    /// One connection of it was not made.
    NotConnected(String),
    /// Its one connection is over.
    Ended(ExitStatus),
    /// The operator's end broke the rules.
    Broken(Broken),
}
