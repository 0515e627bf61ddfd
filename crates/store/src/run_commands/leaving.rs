//! A node carries nothing any more: its process has ended, or it was declared dead.
//!
//! # Invariants
//! - The commands are counted up first, so that the other nodes see what is nobody's now.

/// A node carries nothing any more: first its commands are counted up, so that others look.
pub(crate) const LEAVES_COMMANDS: &str = "UPDATE commands SET version = version + 1 WHERE id IN \
     (SELECT command_id FROM command_invocations WHERE node = ? AND ended_at IS NULL)";
/// Then what it carried is nobody's.
pub(crate) const LEAVES_INVOCATIONS: &str = "UPDATE command_invocations SET active = 0, node = '', \
     version = (SELECT c.version FROM commands c WHERE c.id = command_invocations.command_id) \
     WHERE node = ? AND ended_at IS NULL";
