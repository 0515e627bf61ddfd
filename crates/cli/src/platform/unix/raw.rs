//! Raw mode of the local terminal, and the promise that it ends.
//!
//! Data flow: [`RawMode::enter`] keeps the settings in one place of the process. The first of these
//! restores them: the guard's end (normal, error, unwinding), [`RawMode::pause`] (suspended), or
//! the panic hook (a build that aborts). Signals need nothing here: they are events of the session,
//! which ends and drops the guard.
//!
//! # Invariants
//! - The settings are restored at once and without waiting for output: a stopped terminal cannot
//!   hold up the end.
//! - One terminal at a time.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

struct Saved {
    fd: OwnedFd,
    settings: Termios,
}

static SAVED: Mutex<Option<Saved>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// The terminal is raw while this lives.
#[derive(Debug)]
#[must_use = "the terminal is put back when this is dropped"]
pub(crate) struct RawMode(());

impl RawMode {
    /// Makes the terminal behind `fd` raw.
    ///
    /// # Errors
    /// What the kernel says, `ENOTTY` for what is no terminal.
    pub(crate) fn enter(fd: impl AsFd) -> io::Result<Self> {
        let fd = fd.as_fd().try_clone_to_owned()?;
        let settings = tcgetattr(&fd)?;
        HOOK.call_once(restore_on_panic);
        let raw = raw_of(&settings);
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Saved { fd: fd.as_fd().try_clone_to_owned()?, settings });
        let guard = Self(());
        tcsetattr(&fd, OptionalActions::Now, &raw)?;
        Ok(guard)
    }

    /// Puts the terminal back for the time being.
    pub(crate) fn pause(&self) {
        put_back();
    }

    /// Makes it raw again. The settings found are those to go back to: somebody may have changed
    /// them meanwhile.
    pub(crate) fn resume(&self) {
        let mut saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(saved) = saved.as_mut() else { return };
        let Ok(found) = tcgetattr(&saved.fd) else { return };
        let raw = raw_of(&found);
        // Found raw: the pause was never seen by anybody, and raw is not what to go back to.
        if found.local_modes != raw.local_modes {
            saved.settings = found;
        }
        let _ = tcsetattr(&saved.fd, OptionalActions::Now, &raw);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        put_back();
        SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn raw_of(settings: &Termios) -> Termios {
    let mut raw = settings.clone();
    raw.make_raw();
    raw
}

fn put_back() {
    if let Some(saved) = SAVED.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        // Nothing can be done about a failure: the terminal is gone.
        let _ = tcsetattr(&saved.fd, OptionalActions::Now, &saved.settings);
    }
}

/// Before the message is printed, or it would be a staircase.
fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Not `lock`: the panic may have come from within.
        if let Ok(saved) = SAVED.try_lock()
            && let Some(saved) = saved.as_ref()
        {
            let _ = tcsetattr(&saved.fd, OptionalActions::Now, &saved.settings);
        }
        before(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::termios::LocalModes;

    fn pty() -> (OwnedFd, OwnedFd) {
        use rustix::fs::{Mode, OFlags, open};
        let master = open("/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let slave = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        (master, slave)
    }

    fn is_raw(fd: &OwnedFd) -> bool {
        !tcgetattr(fd)
            .unwrap()
            .local_modes
            .intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    // One test, because there is one terminal in a process.
    #[test]
    fn a_terminal_is_raw_while_the_guard_lives_and_as_before_afterwards() {
        let (_master, slave) = pty();
        assert!(!is_raw(&slave));
        let guard = RawMode::enter(&slave).unwrap();
        assert!(is_raw(&slave));
        guard.pause();
        assert!(!is_raw(&slave), "suspended");
        guard.resume();
        assert!(is_raw(&slave), "in the foreground again");
        guard.resume();
        drop(guard);
        assert!(!is_raw(&slave), "ended, after a resume that followed no pause");

        let panicked = std::panic::catch_unwind(|| {
            let (_master, slave) = pty();
            let guard = RawMode::enter(&slave).unwrap();
            std::mem::drop(std::panic::catch_unwind(|| panic!("expected")));
            assert!(!is_raw(&slave), "the hook has put it back before any unwinding");
            drop(guard);
        });
        assert!(panicked.is_ok());
        assert!(RawMode::enter(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
