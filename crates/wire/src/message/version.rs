//! Versions of the wire: which ones a side speaks, and which one both speak.

/// The ALPN protocol name of the agent's link (RFC 7301).
pub const ALPN: &[u8] = b"towline/1";
/// The lowest and the highest wire version that this crate speaks. See [`Version`].
pub const VERSIONS: Version = Version { min: 1, max: 3 };
/// The version since which a gateway may ask for [`Echoed`](crate::echo::Echoed).
pub const TELLS_ECHO: u16 = 2;
/// The version since which an agent may tell why a program could not be started, see
/// [`RefusalCode::ProgramNotFound`](crate::message::RefusalCode::ProgramNotFound).
pub const TELLS_PROGRAMS: u16 = 3;
/// The version since which an agent may ask for the authority's time during the link, see
/// [`FromAgent::AskTime`](crate::message::FromAgent::AskTime).
pub const ASKS_TIME: u16 = 3;

/// The version since which records of the command log may name the executable, see
/// [`Record::Executed`](crate::record::Record::Executed).
pub const NAMES_EXECUTABLES: u16 = 3;
/// The version since which an agent says how many sessions it takes, see
/// [`FromAgent::Limits`](crate::message::FromAgent::Limits), and has a place for a repair, see
/// [`ToAgent::OpenReserved`](crate::message::ToAgent::OpenReserved).
pub const HAS_RESERVE: u16 = 3;

/// The version since which an agent knows
/// [`Launch::ExecOnTerminal`](crate::message::Launch::ExecOnTerminal).
pub const RUNS_ON_TERMINALS: u16 = 3;
/// The version since which a copy follows no symbolic link unless it is
/// [`CopyFollowing`](crate::message::Launch::CopyFollowing).
pub const KEEPS_OFF_LINKS: u16 = 3;

/// The version since which an agent takes the pin of the server's next key, see
/// [`ToAgent::NextPin`](crate::message::ToAgent::NextPin).
pub const TAKES_PINS: u16 = 3;

/// The version since which an agent knows [`Launch::Detached`](crate::message::Launch::Detached).
pub const DETACHES: u16 = 3;

/// What versions of the wire a side speaks. Sent as [`crate::frame::Frame::Version`], before
/// anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Lowest.
    pub min: u16,
    /// Highest.
    pub max: u16,
}

impl Version {
    /// The highest version that both speak.
    #[must_use]
    pub fn agree(self, other: Self) -> Option<u16> {
        let best = self.max.min(other.max);
        (best >= self.min && best >= other.min).then_some(best)
    }
}
