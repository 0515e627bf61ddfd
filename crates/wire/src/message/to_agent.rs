//! What the gateway says to the agent.
//!
//! # Invariants
//! - Those of [`super`]: variants and fields are only appended.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{EndReason, RefusalCode, SessionName, Size, Terminal};
use crate::epoch::BootNonce;
use crate::frame::StreamId;
use crate::grant::{SignedGrant, SignedTime};
use crate::lane::Lanes;
use crate::pin::SignedPin;

/// From the gateway to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToAgent {
    /// The link is accepted.
    Welcome(Welcome),
    /// The link is not accepted; it will be closed.
    Refuse {
        /// Class of the refusal.
        code: RefusalCode,
        /// What happened and what to do.
        text: String,
        /// Seconds to wait before the next try; 0 leaves it to the agent.
        retry_after: u32,
    },
    /// The device has a name now. The link will be closed; the agent dials again with
    /// [`FromAgent::Hello`](super::FromAgent::Hello).
    Enrolled {
        /// `mi-` and 17 hexadecimal digits.
        device: String,
        /// Ed25519 key whose grants the agent accepts from now on.
        authority: [u8; 32],
        /// A person has to approve the device before it may connect.
        pending: bool,
    },
    /// Open a session.
    Open(Open),
    /// An operator's client is there: send from these positions on.
    Attach {
        /// Which session.
        session: SessionName,
        /// Grows with each attach of the session.
        attachment: u32,
        /// Output bytes the client has, for `io` and `err`; `None` for a client that starts anew.
        received: Option<Lanes<u64>>,
        /// The client's room from there on, bytes, for `io` and `err`.
        room: Lanes<u32>,
    },
    /// The client is gone: send no more of this session until the next attach.
    Detach {
        /// Which session.
        session: SessionName,
    },
    /// The terminal's size has changed.
    Resize {
        /// Which session.
        session: SessionName,
        /// New size.
        size: Size,
    },
    /// Deliver a signal to a session without a terminal.
    Signal {
        /// Which session.
        session: SessionName,
        /// Number as in signal(7) on Linux.
        signal: u8,
    },
    /// End the session: hang up its processes.
    Close {
        /// Which session.
        session: SessionName,
        /// Why, for the agent's log.
        reason: EndReason,
    },
    /// Everything of the session has arrived: drop what is kept of it.
    Forget {
        /// Which session.
        session: SessionName,
    },
    /// The gateway is about to stop: dial again after so many seconds.
    GoAway {
        /// Seconds.
        retry_after: u32,
    },
    /// The link was idle, and this is how patient the gateway is with silence.
    KeepAlive {
        /// Longest interval between pings that the gateway accepts, seconds.
        longest: u32,
    },
    /// Make a new key, and show it with [`FromAgent::NewKey`](super::FromAgent::NewKey).
    RotateKey,
    /// The new key is let in: dial again with it.
    KeyAdded,
    /// Records of the command log are stored: let go of them.
    LogStored {
        /// Which start of the agent they belong to.
        boot: BootNonce,
        /// The number behind the last one that is stored.
        next: u64,
    },
    /// Say [`FromAgent::Echoed`](super::FromAgent::Echoed) of a session's terminal from now on,
    /// until this link is over. Since version 2.
    TellEcho {
        /// Which session.
        session: SessionName,
    },
    /// Answers [`FromAgent::AskTime`](super::FromAgent::AskTime): the authority's time, bound to
    /// the challenge of that message. Since version 3.
    Time(SignedTime),
    /// Open a session of a terminal, if need be in the place beyond the device's limit that is kept
    /// for a repair. Since version 3.
    OpenReserved(Open),
    /// The server's key will change to the one with this pin. Since version 3.
    NextPin(SignedPin),
}

/// The gateway's side of the greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Time by the authority's clock, bound to the challenge of the hello.
    pub time: SignedTime,
    /// Longest interval between pings that the gateway accepts, seconds.
    pub longest_ping: u32,
    /// How long a session may outlive its link, seconds; the device's own setting caps it.
    pub grace: u32,
}

/// An order to open a session. Without a valid grant it is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Which session; the grant names the same.
    pub session: SessionName,
    /// Who may do what, signed by the authority.
    pub grant: SignedGrant,
    /// A postcard [`Launch`](super::Launch); the grant holds the SHA-256 digest of exactly these
    /// bytes.
    pub launch: Vec<u8>,
    /// Terminal to be made, for launches that want one.
    pub terminal: Option<Terminal>,
    /// Stream for the terminal, or stdin and stdout.
    pub io: StreamId,
    /// Stream for stderr, for launches that keep it apart.
    pub err: Option<StreamId>,
}
