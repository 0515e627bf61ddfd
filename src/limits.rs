//! Every capacity of the agent: its value, its reason, and what it costs in memory.
//!
//! Who ports the agent to a smaller board edits this page and no other. Numbers that depend on each other are
//! derived, or checked by an assertion that stops the build.
//!
//! # Not here
//! - The sizes of the wire itself (frame, window): they belong to both ends and stand in `towline-wire`.

use std::time::Duration;

/// How long processes of an ended session may tidy up between the hang-up and the kill. Long enough for an editor
/// to save its swap file, short enough that nobody waits for it.
pub const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// How often survivors of a kill are killed again (only processes stuck in the kernel survive one).
pub const KILL_AGAIN: Duration = Duration::from_secs(2);

/// How long a terminal that others still hold open is read on after its leader has ended. Without others the end
/// of the output is exact, and this is not used.
pub const DRAIN_AFTER_EXIT: Duration = Duration::from_millis(500);

/// Processes looked at in one pass over a session's family. More are found by the next pass. 4 bytes each.
pub const FAMILY_PASS: usize = 4096;

/// Depth of nested cgroups below a session that are walked; the kernel's own kill needs no walk.
pub const CGROUP_DEPTH: usize = 8;

/// Largest `/etc/environment` that is read, in bytes; only while a session is being opened.
pub const ENVIRONMENT_FILE: usize = 64 * 1024;

/// Most variables in the environment of a session.
pub const ENVIRONMENT_ENTRIES: usize = 256;

/// Most arguments of one command, and the most bytes of all of them together.
pub const ARGUMENTS: usize = 1024;
/// See [`ARGUMENTS`]. Well under the kernel's limit for one argument (128 KiB).
pub const ARGUMENT_BYTES: usize = 64 * 1024;

/// Most supplementary groups that are set for an account.
pub const GROUPS: usize = 1024;

const _: () = assert!(KILL_AGAIN.as_millis() < HANG_UP_GRACE.as_millis(), "the second kill would wait too long");
