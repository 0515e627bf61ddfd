//! Privilege separation: what reads the network in front of the link has no rights.
//!
//! Two processes of one program. The *monitor* is the agent: it has the device's key, grants,
//! policy, sessions, files. A *network process* has none of them. It looks names up, speaks to a
//! proxy, does TLS, and passes the link's bytes on. One process carries one link, and ends with it;
//! a look-up has a process of its own, because the system's resolver reads files.
//!
//! Data flow: [`monitor`] starts this program again with the command `network` -> [`network`] gives
//! up its rights ([`confine`]) -> messages of [`towline_wire::separation`] on standard input, a
//! socket, each in its turn ([`turns`]); the link's bytes on standard output, another one.
//!
//! # Invariants
//! - The network process begins with the memory of a fresh program: no key was ever in it.
//! - The monitor signs one handshake for each process, and nothing but the form of one.
//! - The monitor kills the process when it drops the link; the kernel does when the monitor ends.
//!
//! # Not here
//! - Frames and messages of the gateway are read by the monitor. Tunnels are dialled by it.

mod carry;
mod channel;
mod confine;
pub mod monitor;
pub mod network;
mod socket;
mod starts;
pub mod turns;
