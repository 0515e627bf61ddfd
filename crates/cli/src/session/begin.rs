//! How a session begins, and how this program takes part in it.

use towline_ssm::api::session::StartSessionRequest;

/// How a session begins.
#[derive(Debug, Clone)]
pub(crate) enum Begin {
    /// A new one.
    Start(StartSessionRequest),
    /// One with a terminal that goes on: its id.
    Resume(String),
    /// Another user's, with a terminal: its id. That user's client loses the keyboard.
    Join(String),
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
    /// Put before the text of standard output and standard error.
    pub prefixes: [Prefix; 2],
}

/// Text that stands before output which begins a line. Empty for most sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Prefix {
    bytes: [u8; Self::MAX],
    length: u8,
}

const NONE: [Prefix; 2] = [Prefix { bytes: [0; Prefix::MAX], length: 0 }; 2];

impl Prefix {
    /// Most bytes; documents allow no more.
    const MAX: usize = 30;

    /// The text, cut at its bound.
    #[must_use]
    pub(crate) fn new(text: &str) -> Self {
        let text = &text.as_bytes()[..text.len().min(Self::MAX)];
        let mut prefix = Self { length: u8::try_from(text.len()).unwrap_or(0), ..Self::default() };
        prefix.bytes[..text.len()].copy_from_slice(text);
        prefix
    }

    /// Its bytes.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Manner {
    /// A terminal on the device, and this one for it.
    #[must_use]
    pub(crate) fn on_screen(escape: Option<u8>) -> Self {
        Self {
            terminal: true,
            input: true,
            escape,
            guest: false,
            joined: false,
            bulk: false,
            prefixes: NONE,
        }
    }

    /// A command; `input` when it reads ours.
    #[must_use]
    pub(crate) fn command(input: bool) -> Self {
        Self {
            terminal: false,
            input,
            escape: None,
            guest: false,
            joined: false,
            bulk: false,
            prefixes: NONE,
        }
    }

    /// One connection, on standard input and output.
    #[must_use]
    pub(crate) fn proxy(guest: bool) -> Self {
        Self {
            terminal: false,
            input: true,
            escape: None,
            guest,
            joined: false,
            bulk: true,
            prefixes: NONE,
        }
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
