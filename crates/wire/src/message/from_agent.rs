//! What the agent says to the gateway.
//!
//! # Invariants
//! - Those of [`super`]: variants and fields are only appended.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{EndReason, ExitStatus, RefusalCode, SessionName};
use crate::echo::Echoed;
use crate::epoch::Epoch;
use crate::frame::StreamId;
use crate::lane::Lanes;
use crate::record::Batch;
use crate::rotation::NewKey;

/// From the agent to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent {
    /// First message of an enrolled device.
    Hello(Hello),
    /// First message of a device that has an activation and no name yet.
    Enroll(Enroll),
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
    /// Answers [`ToAgent::Attach`](super::ToAgent::Attach).
    Attached {
        /// Which session.
        session: SessionName,
        /// The number of the attach that is answered.
        attachment: u32,
        /// First position of the output that follows, for `io` and `err`.
        output: Lanes<u64>,
        /// Input bytes taken so far.
        input: u64,
        /// Room for input from there, bytes.
        room: u32,
    },
    /// The session's process has ended. Its output may still be on the way; the end of the streams
    /// says so.
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
    /// Answers [`ToAgent::RotateKey`](super::ToAgent::RotateKey): the key that the device wants to
    /// be known by.
    NewKey(NewKey),
    /// Answers [`ToAgent::RotateKey`](super::ToAgent::RotateKey): the old key stays.
    NoNewKey {
        /// Why, for the person who asked.
        text: String,
    },
    /// A connection of a tunnel was not made: the far end refused, does not exist, or the device
    /// forbids it. The tunnel goes on. Ends that speak smux version 2 hear it in their stream as
    /// well.
    NotConnected {
        /// Which session.
        session: SessionName,
        /// What happened, for the operator's eyes.
        text: String,
    },
    /// Records of the command log, in the order of their numbers.
    Log(Batch),
    /// How a terminal stood when it took input. Since version 2, and for sessions only of which the
    /// gateway has asked it.
    Echoed(Echoed),
    /// Asks for the authority's time once more. Since version 3.
    AskTime {
        /// Random bytes of this question, to be signed into
        /// [`ToAgent::Time`](super::ToAgent::Time).
        challenge: [u8; 16],
    },
    /// What the device allows, after `HeldEnd` and when it changes. Since version 3.
    Limits {
        /// Sessions at once, without the place for a repair.
        sessions: u32,
    },
    /// Answers [`ToAgent::NextPin`](super::ToAgent::NextPin). Since version 3.
    PinKept {
        /// The statement's time.
        issued: u64,
        /// Whether the device goes by a pin; if not, it needs no other one.
        pinned: bool,
    },
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The device's name, `mi-…`, from its enrollment. The key of the TLS handshake is what proves
    /// it.
    pub device: String,
    /// Which process and which of its connections.
    pub epoch: Epoch,
    /// Random bytes of this connection, to be signed into
    /// [`ToAgent::Welcome`](super::ToAgent::Welcome).
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
pub struct Enroll {
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

impl core::fmt::Debug for Enroll {
    /// Without the code.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Enroll")
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
