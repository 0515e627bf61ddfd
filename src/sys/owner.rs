//! Who can write a file that the agent obeys.

/// Why a file of this owner and mode may be somebody else's work; `None` when only root, or the
/// user `own`, can write it.
///
/// Access control lists: the mode's group bits include their mask (acl(5)).
#[must_use]
pub fn other_writer(uid: u32, mode: u32, own: u32) -> Option<&'static str> {
    if uid != 0 && uid != own {
        return Some("it belongs to another user");
    }
    (mode & 0o022 != 0).then_some("its group or other users can write it")
}
