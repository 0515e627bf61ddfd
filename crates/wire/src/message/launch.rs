//! What a session starts on the device, and its terminal.
//!
//! # Invariants
//! - Those of [`super`]: variants and fields are only appended. A grant holds the digest of these
//!   bytes.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::epoch::BootNonce;

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
    /// Files of one place of the device, read or written as the session's user: [`crate::copy`] on
    /// stdin and stdout.
    Copy {
        /// A file or folder; relative to the user's home unless it begins with `/`. Nothing outside
        /// is touched.
        path: String,
        /// Written, not read.
        put: bool,
    },
    /// A script, without a terminal and without input. It comes as the input of stream `io`, right
    /// after the order, and is started once it is whole: a launch is a control message, and scripts
    /// may be larger than a frame.
    Script(Script),
    /// A program on a terminal, without a shell. Only for an agent of version
    /// [`RUNS_ON_TERMINALS`](crate::RUNS_ON_TERMINALS).
    ExecOnTerminal {
        /// Program and arguments; never empty.
        argv: Vec<String>,
    },
    /// As [`Self::Copy`], and symbolic links are followed. An agent that does not know it (see
    /// [`KEEPS_OFF_LINKS`](crate::KEEPS_OFF_LINKS)) follows them with [`Self::Copy`].
    CopyFollowing {
        /// As in [`Self::Copy`].
        path: String,
        /// As in [`Self::Copy`].
        put: bool,
    },
    /// A program that needs no link, without a terminal, without input and output. Only for an
    /// agent of version [`DETACHES`](crate::DETACHES).
    Detached {
        /// Program and arguments; never empty.
        argv: Vec<String>,
    },
}

/// No start of an agent. Among [`Script::given_to`] it says that the gateway may have forgotten to
/// which later starts it gave the script: the journal has to tell of all that followed the others.
pub const AND_LATER: BootNonce = [0xff; 16];

/// A script to be started at most once. The grant holds the digest of this, and this the digest of
/// the script.
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
    /// Starts of the agent that were given the same script for the same session and may have
    /// started it. It is started only if the agent's journal tells that none of them has. With
    /// [`AND_LATER`] among them, only if it tells so of all starts since the others, too.
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

/// Longest text of [`Launch::ShellWithProfile`], bytes: 512 characters of UTF-8. A terminal in its
/// line mode holds 4095.
pub const MAX_PROFILE_BYTES: usize = 2048;

impl Launch {
    /// True when the launch runs on a terminal.
    #[must_use]
    pub fn wants_terminal(&self) -> bool {
        match self {
            Self::Shell
            | Self::Interactive { .. }
            | Self::ShellWithProfile { .. }
            | Self::ExecOnTerminal { .. } => true,
            Self::Exec { .. }
            | Self::Tunnel(_)
            | Self::Copy { .. }
            | Self::CopyFollowing { .. }
            | Self::Script(_)
            | Self::Detached { .. } => false,
        }
    }

    /// True when standard error has a stream of its own.
    #[must_use]
    pub fn wants_err(&self) -> bool {
        matches!(self, Self::Exec { .. } | Self::Script(_)) || self.copy().is_some()
    }

    /// The path, whether it is written, and whether links are followed, of a copy.
    #[must_use]
    pub fn copy(&self) -> Option<(&str, bool, bool)> {
        match self {
            Self::Copy { path, put } => Some((path, *put, false)),
            Self::CopyFollowing { path, put } => Some((path, *put, true)),
            _ => None,
        }
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
