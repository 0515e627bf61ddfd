//! The command log: which programs the sessions of this device really executed, by the kernel's own word.
//!
//! Way: the kernel's process events ([`events`]) -> which of them belong to a session ([`descent`]) -> what was executed,
//! from the process itself ([`exec`]) -> a [`record`] -> a fixed ring of bytes ([`ring`]).
//!
//! # Invariants
//! - A shell never waits for this module, and memory is fixed: what does not fit is a gap record with its range.
//! - Membership goes by descent: a double fork, `setsid` or a cleared environment changes nothing.
//!
//! # Not here
//! - Barriers: root on the device can stop this program. The terminal is recorded at the gateway for that reason.
//! - Spooling, shipping, and the agent's loop: nothing calls this module yet but its tests.
//!
//! # Known limits
//! - The kernel says that a program was executed, not with which arguments: they are read from the process, and one that
//!   has ended before leaves a record without them. `tests/exec_log.rs` counts: of 5,000 programs that end at once, on two
//!   cores that others kept busy, all were seen, all with their exit code, and 57 in 100 with their arguments.

pub mod descent;
pub mod events;
pub mod exec;
pub mod record;
pub mod ring;
