//! Evidence: what a session showed and what principals did, in forms that show any later change.
//!
//! Way of a recording: bytes of a terminal -> [`recording`] (asciicast v2 lines, each in the
//! session's hash chain, seals between them) -> heads of sessions into [`node`]'s chain -> signed
//! checkpoints. Way back: [`verify`], which needs the lines and a public key, and nothing else.
//! Beside it [`typed`]: which input may be recorded,
//! [`trail`]: events in CloudTrail's form, and [`layout`]: where things lie in a sink.
//!
//! # Invariants
//! - No I/O, no clock, no randomness: the caller brings bytes, times and keys. So the gateway
//!   writes and the command line verifies with the same code.
//! - What was lost is a gap record in the chain, never a silence.
//!
//! # Not here
//! - Compression, files, uploads, retention: the gateway's `evidence` folder.
//! - Secrecy. A recording is as readable as its file.
#![forbid(unsafe_code)]

pub mod cast;
pub mod checkpoint;
pub mod digest;
pub mod layout;
pub mod node;
pub mod recording;
pub mod sanitise;
pub mod seal;
pub mod text;
pub mod trail;
pub mod typed;
pub mod verify;
