//! The closed lists of the data channel: message types, payload types, flags.
//!
//! # Invariants
//! - What is not in a list is kept as it came (`Other`), so that a reader can ignore it and a relay
//!   can pass it on.

/// First message of a direction.
pub const FLAGS_SYN: u64 = 1;
/// Last message. Messages outside the numbered stream have both flags.
pub const FLAGS_FIN: u64 = 2;

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// What a message is, as its header names it.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum MessageType {
            $($(#[$doc])* $name,)+
            /// A name that is not known here: 1 to 32 visible ASCII characters.
            Other(Box<str>),
        }

        impl MessageType {
            /// The name on the wire, without padding.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Other(name) => name,
                }
            }

            /// The type of this name; `None` for a name that no header can hold.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name),)+
                    _ => {
                        let fits = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
                        fits.then(|| Self::Other(name.into()))
                    }
                }
            }
        }
    };
}

message_types! {
    /// From client to agent, numbered.
    InputStreamData = "input_stream_data";
    /// From agent to client, numbered.
    OutputStreamData = "output_stream_data";
    /// Answer to one numbered message.
    Acknowledge = "acknowledge";
    /// The end of the session; the only thing that ends the official plugin.
    ChannelClosed = "channel_closed";
    /// The receiver shall hold its output back.
    PausePublication = "pause_publication";
    /// The receiver may send again.
    StartPublication = "start_publication";
    /// From an official agent to its service.
    AgentSessionState = "agent_session_state";
    /// To an official agent: open a session.
    InteractiveShell = "interactive_shell";
    /// To an official agent: run, or stop, a document.
    AgentJob = "agent_job";
    /// From an official agent: whether it takes the job.
    AgentJobAck = "agent_job_ack";
    /// From an official agent: how the job stands.
    AgentJobReply = "agent_job_reply";
    /// To an official agent: the reply is kept here.
    AgentJobReplyAck = "agent_job_reply_ack";
    /// From an official agent: the session is over.
    AgentTaskComplete = "agent_task_complete";
    /// To an official agent: that was heard.
    AgentTaskAcknowledge = "agent_task_acknowledge";
}

macro_rules! payload_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)+) => {
        /// What the payload of a numbered message is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PayloadType {
            $($(#[$doc])* $name,)+
            /// A number that is not known here.
            Other(u32),
        }

        impl From<u32> for PayloadType {
            fn from(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)+
                    other => Self::Other(other),
                }
            }
        }

        impl From<PayloadType> for u32 {
            fn from(kind: PayloadType) -> Self {
                match kind {
                    $(PayloadType::$name => $number,)+
                    PayloadType::Other(number) => number,
                }
            }
        }
    };
}

payload_types! {
    /// Acknowledgements, closes and states.
    None = 0;
    /// Bytes of the session, in both directions.
    Output = 1;
    /// Defined by AWS, used by nobody seen.
    Error = 2;
    /// Size of the client's terminal.
    Size = 3;
    /// Defined by AWS, used by nobody seen.
    Parameter = 4;
    /// The agent's first message.
    HandshakeRequest = 5;
    /// The client's answer.
    HandshakeResponse = 6;
    /// The agent's go-ahead.
    HandshakeComplete = 7;
    /// Key agreement, not spoken here.
    EncChallengeRequest = 8;
    /// Key agreement, not spoken here.
    EncChallengeResponse = 9;
    /// A signal of port sessions.
    Flag = 10;
    /// Standard error of sessions with separate output.
    StdErr = 11;
    /// Exit status of sessions with separate output.
    ExitCode = 12;
}
