//! How a session begins, and how this program takes part in it.

use towline_ssm::api::session::StartSessionRequest;

/// How a session begins.
#[derive(Debug)]
pub(crate) enum Begin {
    /// A new one.
    Start(StartSessionRequest),
    /// One with a terminal that goes on: its id.
    Resume(String),
    /// One that somebody else asked the gateway for.
    Given {
        /// Its id.
        session: String,
        /// Where its stream is.
        stream_url: String,
        /// For the first message.
        token: Token,
    },
}

/// How the operator's end takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// The session has a terminal on the device: here it is raw, when there is one.
    pub terminal: bool,
    /// Standard input is read.
    pub input: bool,
    /// The escape character.
    pub escape: Option<u8>,
    /// Another program has started us and waits, deaf to the keyboard's signals, which it made us
    /// ignore as well: they are for us all the same, and to stop for a while would stop nothing but
    /// ourselves.
    pub guest: bool,
    /// Standard error of the device comes on our standard output.
    pub joined: bool,
    /// A stream of bytes for another program: much room on the way, and every signal means the end,
    /// as does that nobody reads it any more.
    pub bulk: bool,
}

impl Manner {
    /// A terminal on the device, and this one for it.
    #[must_use]
    pub(crate) fn on_screen(escape: Option<u8>) -> Self {
        Self { terminal: true, input: true, escape, guest: false, joined: false, bulk: false }
    }

    /// A command; `input` when it reads ours.
    #[must_use]
    pub(crate) fn command(input: bool) -> Self {
        Self { terminal: false, input, escape: None, guest: false, joined: false, bulk: false }
    }

    /// One connection, on standard input and output.
    #[must_use]
    pub(crate) fn proxy(guest: bool) -> Self {
        Self { terminal: false, input: true, escape: None, guest, joined: false, bulk: true }
    }
}

/// The one-session token. A secret.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}
