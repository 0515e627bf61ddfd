//! Control messages of the agent's link, and how they become bytes.
//!
//! Order on a new link: both sides send [`Version`]; the agent adds [`FromAgent::Hello`] (or [`FromAgent::Enrol`]) at
//! once; the gateway answers [`ToAgent::Welcome`], [`ToAgent::Enrolled`] or [`ToAgent::Refuse`]. After the welcome the
//! agent names each session it still holds with [`FromAgent::Held`], then [`FromAgent::HeldEnd`].
//!
//! # Invariants
//! - Every message can be repeated: a lost link loses messages, and what counts is said again by `Held` and `Attach`.
//! - Variants and fields are only appended, and a field is only appended together with a new version.
//! - Strings are bounded by the frame; [`decode`] refuses trailing bytes, so two encodings of one message do not exist.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::echo::Echoed;
use crate::epoch::{BootNonce, Epoch};
use crate::frame::{MAX_CONTROL, StreamId};
use crate::grant::{SignedGrant, SignedTime};
use crate::record::Batch;
use crate::rotation::NewKey;

/// What versions of the wire a side speaks. Sent as [`crate::frame::Frame::Version`], before anything else.
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

/// Names a session: `<principal name>-<17 characters>`, 1 to 96 bytes (the API's `SessionId`).
pub type SessionName = String;

/// From the agent to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent {
    /// First message of an enrolled device.
    Hello(Hello),
    /// First message of a device that has an activation and no name yet.
    Enrol(Enrol),
    /// A session that the agent still holds from an earlier link.
    Held(Held),
    /// All held sessions were named.
    HeldEnd,
    /// The session runs.
    Opened {
        /// Which session.
        session: SessionName,
    },
    /// The session was not opened; the reason is for the operator's eyes.
    NotOpened {
        /// Which session.
        session: SessionName,
        /// Class of the refusal.
        code: RefusalCode,
        /// What happened, what was expected, what to do.
        text: String,
    },
    /// Answers [`ToAgent::Attach`].
    Attached {
        /// Which session.
        session: SessionName,
        /// The number of the attach that is answered.
        attachment: u32,
        /// First position of the output that follows, for `io` and `err`.
        output: [u64; 2],
        /// Input bytes taken so far.
        input: u64,
        /// Room for input from there, bytes.
        room: u32,
    },
    /// The session's process has ended. Its output may still be on the way; the end of the streams says so.
    Exited {
        /// Which session.
        session: SessionName,
        /// How it ended.
        status: ExitStatus,
    },
    /// A session is gone without an exit (closed, grace over) or was never known.
    Gone {
        /// Which session.
        session: SessionName,
        /// Why.
        reason: EndReason,
    },
    /// Answers [`ToAgent::RotateKey`]: the key that the device wants to be known by.
    NewKey(NewKey),
    /// Answers [`ToAgent::RotateKey`]: the old key stays.
    NoNewKey {
        /// What is in the way, for whoever asked.
        text: String,
    },
    /// A connection of a tunnel was not made: the far end refused, does not exist, or the device forbids it. The tunnel goes
    /// on. Ends that speak smux version 2 hear it in their stream as well.
    NotConnected {
        /// Which session.
        session: SessionName,
        /// What happened, for the operator's eyes.
        text: String,
    },
    /// Records of the command log, in the order of their numbers.
    Log(Batch),
    /// How a terminal stood when it took input. Since version 2, and for sessions only of which the gateway has asked it.
    Echoed(Echoed),
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The device's name, `mi-…`, from its enrolment. The key of the TLS handshake is what proves it.
    pub device: String,
    /// Which process and which of its connections.
    pub epoch: Epoch,
    /// Random bytes of this connection, to be signed into [`ToAgent::Welcome`].
    pub challenge: [u8; 16],
    /// What the API shows of the device.
    pub platform: Platform,
}

/// Facts about the device, shown by DescribeInstanceInformation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Four dotted numbers.
    pub agent_version: String,
    /// Target triple of the binary.
    pub target: String,
    /// `NAME` of os-release(5).
    pub name: String,
    /// `VERSION_ID` of os-release(5).
    pub version: String,
    /// The host's name.
    pub hostname: String,
    /// Source address of the link as the device sees it.
    pub address: String,
}

/// A request to be enrolled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// Activation id (UUID).
    pub activation_id: String,
    /// Activation code: a secret.
    pub activation_code: String,
    /// Wanted name; empty for the activation's default.
    pub name: String,
    /// Wanted tags, key and value.
    pub tags: Vec<(String, String)>,
    /// What the API shows of the device.
    pub platform: Platform,
}

impl core::fmt::Debug for Enrol {
    /// Without the code.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Enrol")
            .field("activation_id", &self.activation_id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A session that outlived a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which session.
    pub session: SessionName,
    /// Its stream for terminal, or stdin and stdout.
    pub io: StreamId,
    /// Its stream for stderr, when that is apart.
    pub err: Option<StreamId>,
    /// Set when the process has ended already.
    pub exited: Option<ExitStatus>,
}

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
    /// The device has a name now. The link will be closed; the agent dials again with [`FromAgent::Hello`].
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
        received: Option<[u64; 2]>,
        /// The client's room from there on, bytes, for `io` and `err`.
        room: [u32; 2],
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
    /// Make a new key, and show it with [`FromAgent::NewKey`].
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
    /// Say [`FromAgent::Echoed`] of a session's terminal from now on, until this link is over. Since version 2.
    TellEcho {
        /// Which session.
        session: SessionName,
    },
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
    /// A postcard [`Launch`]; the grant holds the SHA-256 digest of exactly these bytes.
    pub launch: Vec<u8>,
    /// Terminal to be made, for launches that want one.
    pub terminal: Option<Terminal>,
    /// Stream for the terminal, or stdin and stdout.
    pub io: StreamId,
    /// Stream for stderr, for launches that keep it apart.
    pub err: Option<StreamId>,
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Launch {
    /// The user's login shell on a terminal.
    Shell,
    /// A program without a terminal; stdin, stdout and stderr apart.
    Exec {
        /// Program and arguments; never empty.
        argv: Vec<String>,
    },
    /// A command line for the user's shell, on a terminal.
    Interactive {
        /// Given to the shell with `-c`.
        command: String,
    },
    /// The user's login shell on a terminal, with text that is typed into it before the user's.
    ShellWithProfile {
        /// The text, without its last line end; at most [`MAX_PROFILE_BYTES`].
        profile: String,
    },
    /// Connections from the device to one place.
    Tunnel(Destination),
    /// Files of one place of the device, read or written as the session's user: [`crate::copy`] on stdin and stdout.
    Copy {
        /// A file or folder; relative to the user's home unless it begins with `/`. Nothing outside is touched.
        path: String,
        /// Written, not read.
        put: bool,
    },
    /// A script, without a terminal and without input. It comes as the input of stream `io`, right after the order, and is
    /// started once it is whole: a launch is a control message, and scripts may be larger than a frame.
    Script(Script),
}

/// A script to be started at most once. The grant holds the digest of this, and this the digest of the script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Bytes of the script.
    pub length: u32,
    /// SHA-256 of the script.
    pub sha256: [u8; 32],
    /// Where it runs; empty: the user's home.
    pub working_directory: String,
    /// Seconds after which the agent ends it.
    pub timeout: u32,
    /// Starts of the agent that were given the same script for the same session and may have started it. It is started only
    /// if the agent's journal tells that none of them has.
    pub given_to: Vec<BootNonce>,
}

/// Where a tunnel leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Name or address, resolved on the device; the device itself when absent.
    pub host: Option<String>,
    /// TCP port, not 0.
    pub port: u16,
    /// What the session's bytes are.
    pub framing: Framing,
}

/// What the bytes of a tunnel's session are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// Those of one connection, made when the session is opened. Its end is the session's end.
    Single,
    /// Frames of [`crate::smux`]: any number of connections, one after the other or at once.
    Smux,
}

/// Longest text of [`Launch::ShellWithProfile`], bytes: 512 characters of UTF-8. A terminal in its line mode holds 4095.
pub const MAX_PROFILE_BYTES: usize = 2048;

impl Launch {
    /// True when the launch runs on a terminal.
    #[must_use]
    pub fn wants_terminal(&self) -> bool {
        match self {
            Self::Shell | Self::Interactive { .. } | Self::ShellWithProfile { .. } => true,
            Self::Exec { .. } | Self::Tunnel(_) | Self::Copy { .. } | Self::Script(_) => false,
        }
    }

    /// True when standard error has a stream of its own.
    #[must_use]
    pub fn wants_err(&self) -> bool {
        matches!(self, Self::Exec { .. } | Self::Copy { .. } | Self::Script(_))
    }
}

/// A terminal as the operator has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// `TERM`.
    pub term: String,
    /// Its size.
    pub size: Size,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
    /// By the agent, because its time was over.
    TimedOut,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// Its process ended.
    Exited(ExitStatus),
    /// No input and no output for the idle time-out.
    IdleTimeout,
    /// It reached the maximum duration.
    MaxDuration,
    /// Somebody with the right called TerminateSession.
    Terminated,
    /// The operator closed it.
    ClosedByOperator,
    /// Nobody came back within the grace time after the operator's client was lost.
    OperatorGone,
    /// The device did not come back within the grace time, or came back without the session.
    DeviceGone,
    /// The agent did not open it.
    NotOpened,
    /// The device was deregistered, revoked or quarantined.
    DeviceRevoked,
    /// One end broke the rules of the stream; the session could not be trusted any more.
    Violation,
}

/// Classes of refusals, so that a machine can tell what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// The gateway does not know the key: enrol.
    UnknownDevice,
    /// A person has to approve the device first: wait.
    Pending,
    /// The device was revoked.
    Revoked,
    /// Two live devices use the same key: both are locked out until a person decides.
    Quarantined,
    /// The activation is wrong, used up, expired, or not for this source.
    Activation,
    /// Too many tries from this source: wait.
    RateLimited,
    /// No common wire version.
    Version,
    /// A newer connection of the same agent is live.
    Stale,
    /// The grant is not valid: signature, device, session, digest, boot, time, or used before.
    Grant,
    /// The device's own policy forbids it.
    DevicePolicy,
    /// The device holds as many sessions as it may.
    TooManySessions,
    /// The user to run as does not exist or cannot be used.
    RunAs,
    /// The program could not be started.
    Spawn,
    /// What is asked for is not known to this agent.
    Unsupported,
    /// The place a tunnel should lead to refused, did not answer, or does not exist.
    Unreachable,
    /// It was started before, or may have been: it is not started again.
    AlreadyStarted,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the expected form; a variant from a later version looks the same.
    #[error("control message of {0} bytes is malformed")]
    Malformed(usize),
    /// Bytes are left over.
    #[error("control message has {0} bytes too many")]
    Trailing(usize),
    /// The message does not fit into a frame.
    #[error("control message does not fit into a frame of {MAX_CONTROL} bytes")]
    TooLarge,
}

/// Encodes a message for [`crate::frame::Frame::Control`].
///
/// # Errors
/// [`MessageError::TooLarge`] beyond [`MAX_CONTROL`] bytes.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, MessageError> {
    let bytes = postcard::to_allocvec(message).map_err(|_| MessageError::TooLarge)?;
    if bytes.len() > MAX_CONTROL { Err(MessageError::TooLarge) } else { Ok(bytes) }
}

/// Decodes the body of a [`crate::frame::Frame::Control`].
///
/// # Errors
/// [`MessageError`] when it is malformed or has trailing bytes.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, MessageError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(MessageError::Trailing(rest.len())),
        Err(_) => Err(MessageError::Malformed(bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes_of_messages() {
        let cases: [(ToAgent, &[u8]); 4] = [
            (ToAgent::Resize { session: "a".into(), size: Size { rows: 24, cols: 300 } }, &[6, 1, b'a', 24, 0xac, 2]),
            (ToAgent::Close { session: "a".into(), reason: EndReason::IdleTimeout }, &[8, 1, b'a', 1]),
            (
                ToAgent::Attach { session: "a".into(), attachment: 1, received: Some([2, 0]), room: [9, 0] },
                &[4, 1, b'a', 1, 1, 2, 0, 9, 0],
            ),
            (ToAgent::GoAway { retry_after: 5 }, &[10, 5]),
        ];
        for (message, bytes) in cases {
            assert_eq!(encode(&message).unwrap(), bytes, "{message:?}");
            assert_eq!(decode::<ToAgent>(bytes).unwrap(), message);
        }
        let exited = FromAgent::Exited { session: "a".into(), status: ExitStatus::Signal(9) };
        assert_eq!(encode(&exited).unwrap(), [7, 1, b'a', 1, 9]);
    }

    #[test]
    fn golden_bytes_of_a_tunnel() {
        let to = |host: Option<&str>, framing| {
            Launch::Tunnel(Destination { host: host.map(Into::into), port: 300, framing })
        };
        assert_eq!(encode(&to(None, Framing::Single)).unwrap(), [4, 0, 0xac, 2, 0]);
        assert_eq!(encode(&to(Some("db"), Framing::Smux)).unwrap(), [4, 1, 2, b'd', b'b', 0xac, 2, 1]);
        let failed = FromAgent::NotConnected { session: "a".into(), text: "no".into() };
        assert_eq!(encode(&failed).unwrap(), [11, 1, b'a', 2, b'n', b'o']);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(decode::<ToAgent>(&[10, 5, 0]), Err(MessageError::Trailing(1)));
    }

    #[test]
    fn versions_agree_on_the_highest_that_both_speak() {
        let v = |min, max| Version { min, max };
        assert_eq!(v(1, 3).agree(v(2, 5)), Some(3));
        assert_eq!(v(1, 1).agree(v(1, 1)), Some(1));
        assert_eq!(v(1, 2).agree(v(3, 4)), None);
        assert_eq!(v(3, 4).agree(v(1, 2)), None);
    }

    #[test]
    fn an_activation_code_is_not_printed() {
        let enrol = Enrol {
            activation_id: "id".into(),
            activation_code: "TOPSECRET".into(),
            name: String::new(),
            tags: Vec::new(),
            platform: Platform::default(),
        };
        assert!(!alloc::format!("{enrol:?}").contains("TOPSECRET"));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Ok(message) = decode::<ToAgent>(&bytes) {
                prop_assert_eq!(decode::<ToAgent>(&encode(&message).unwrap()).unwrap(), message);
            }
            if let Ok(message) = decode::<FromAgent>(&bytes) {
                prop_assert_eq!(decode::<FromAgent>(&encode(&message).unwrap()).unwrap(), message);
            }
        }
    }
}
