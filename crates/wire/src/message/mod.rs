//! Control messages of the agent's link, and how they become bytes.
//!
//! Order on a new link: both sides send [`Version`]; the agent adds [`FromAgent::Hello`] (or
//! [`FromAgent::Enroll`]) at once; the gateway answers [`ToAgent::Welcome`], [`ToAgent::Enrolled`]
//! or [`ToAgent::Refuse`]. After the welcome the agent names each session it still holds with
//! [`FromAgent::Held`], then [`FromAgent::HeldEnd`].
//!
//! # Invariants
//! - Every message can be repeated: a lost link loses messages, and what counts is repeated by
//!   `Held` and `Attach`.
//! - Variants and fields are only appended, and a field is only appended together with a new
//!   version.
//! - Strings are bounded by the frame; [`decode`] refuses trailing bytes, so two encodings of one
//!   message do not exist.

mod codec;
mod ending;
mod from_agent;
mod launch;
mod session_name;
#[cfg(test)]
mod tests;
mod to_agent;
mod version;

pub use self::codec::{MessageError, decode, encode};
pub use self::ending::{EndReason, ExitStatus, RefusalCode};
pub use self::from_agent::{Enroll, FromAgent, Held, Hello, Platform};
pub use self::launch::{
    AND_LATER, Destination, Framing, Launch, MAX_PROFILE_BYTES, Script, Size, Terminal,
};
pub use self::session_name::SessionName;
pub use self::to_agent::{Open, ToAgent, Welcome};
pub use self::version::{
    ALPN, ASKS_TIME, DETACHES, HAS_RESERVE, KEEPS_OFF_LINKS, NAMES_EXECUTABLES, RUNS_ON_TERMINALS,
    TAKES_PINS, TELLS_ECHO, TELLS_PROGRAMS, VERSIONS, Version,
};
