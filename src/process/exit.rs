//! How a process ended, from the status of `wait`.

use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ended itself, with this status (0 to 255).
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

/// The exit of a process as a wait status tells it; `None` for a process that only stopped.
#[must_use]
pub(super) fn exit_of(status: WaitStatus) -> Option<(Pid, Exit)> {
    match status {
        WaitStatus::Exited(pid, code) => Some((pid, Exit::Code(code as u8))),
        WaitStatus::Signaled(pid, signal, _) => Some((pid, Exit::Signal(signal as i32 as u8))),
        _ => None,
    }
}
