//! How a process ended, from the status of `wait`.

use nix::libc;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ended itself, with this status (0 to 255).
    Code(u8),
    /// This signal killed it, a real-time one perhaps.
    Signal(u8),
}

/// The exit of a process as a wait status tells it; `None` for a process that only stopped.
#[must_use]
pub(super) fn exit_of(status: libc::c_int) -> Option<Exit> {
    if libc::WIFEXITED(status) {
        Some(Exit::Code(libc::WEXITSTATUS(status) as u8))
    } else if libc::WIFSIGNALED(status) {
        Some(Exit::Signal(libc::WTERMSIG(status) as u8))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_code_or_the_number_of_any_signal() {
        for code in 0..=255 {
            assert_eq!(exit_of(i32::from(code) << 8), Some(Exit::Code(code)));
        }
        for signal in 1..=64 {
            assert_eq!(exit_of(signal.into()), Some(Exit::Signal(signal)));
            assert_eq!(exit_of(i32::from(signal) | 0x80), Some(Exit::Signal(signal)), "dumped");
        }
        assert_eq!(exit_of(0x137f), None, "stopped");
        assert_eq!(exit_of(0xffff), None, "continued");
    }
}
