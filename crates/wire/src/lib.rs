//! The wire between agent and gateway, and between gateway and our own operator clients. No I/O, no
//! clock, no `unsafe`.
//!
//! Bytes and time come in, events and bytes go out; the same machines serve tokio, the fuzzers and
//! a port without `std`. The normative text is `docs/wire.md`; where the two differ, the text is
//! right and the code has a bug.
//!
//! Way of an outgoing byte: [`stream::Sender`] (keeps it until acknowledged) -> [`mux::Mux`] (fair
//! turns) -> [`frame`] -> the caller's socket. Way of an incoming one: socket ->
//! [`frame::FrameReader`] -> [`stream::Receiver`] (trims what came twice) -> the caller.
//!
//! # Invariants
//! - Nothing grows without a bound: a frame is at most [`frame::MAX_FRAME`], a replay ring at most
//!   its cap, all rings of one endpoint together at most its [`stream::Budget`].
//! - Hostile input is an error value, never a panic.
//! - postcard has no schema evolution: variants are only appended, and versions are exchanged
//!   first.
//!
//! # Not here
//! - No signatures are computed: [`grant`] lays out what is signed; the caller brings the algorithm
//!   (Ed25519).
//! - No TLS, no sockets, no session policy.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod canonical;
pub mod client;
pub mod copy;
pub mod echo;
pub mod epoch;
pub mod extension;
pub mod frame;
pub mod grant;
pub mod guarded;
pub mod keepalive;
pub mod lane;
pub mod message;
pub mod mux;
pub mod pin;
pub mod proxy_header;
pub mod record;
pub mod rotation;
pub mod separation;
pub mod smux;
pub mod stream;
pub mod text;

pub use message::{
    ALPN, ASKS_TIME, DETACHES, HAS_RESERVE, KEEPS_OFF_LINKS, NAMES_EXECUTABLES, RUNS_ON_TERMINALS,
    TAKES_PINS, TELLS_ECHO, TELLS_PROGRAMS, VERSIONS,
};
