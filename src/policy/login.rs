//! Whether the device's administrator has closed an account: by its shell, by its line in the
//! shadow database, or all accounts by a file.
//!
//! Data flow: an [`Account`] and the authority's time -> shell, `nologin` files, shadow's fields
//! -> [`Closed`], which says what to change.
//!
//! # Invariants
//! - Days are counted by the authority's clock: a device may believe that it is 1970.
//! - An account without a password (`!`, `!!`, `*`) is open: it may be used by keys. A password or
//!   a `*` behind a `!` was locked by somebody. Where an account has no line in the shadow
//!   database, its line in the user database says so.
//! - An agent that is not root opens sessions as itself whatever its account's fields say: only a
//!   `nologin` file closes it.
//! - Root is not locked by its password, nor by a `nologin` file: `policy.allow_root` closes root.
//!
//! # Not here
//! - PAM: a static program cannot load its modules (decision 135).

use crate::sys::account::Account;
use crate::sys::calls::{self, Shadow};
use nix::errno::Errno;
use nix::unistd::geteuid;
use std::ffi::CString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Files that close the device to everybody but root while they exist, as `pam_nologin` reads them.
const NOBODY_LOGS_IN: [&str; 3] = ["/etc/nologin", "/run/nologin", "/var/run/nologin"];
/// Programs that end at once, as shells of accounts that nobody logs in to.
const LETS_NOBODY_IN: [&str; 3] = ["nologin", "false", "true"];
const DAY_MS: u64 = 86_400_000;

/// Why an account opens no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the account {account} is closed on this device: {why} (policy.allow_locked_accounts ignores \
     it)"
)]
pub struct Closed {
    /// Which.
    account: String,
    /// By what.
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("its password is locked")]
    Locked,
    #[error("it has expired")]
    Expired,
    #[error("its password expired too long ago")]
    Inactive,
    #[error("its shell is {}", .0.display())]
    Shell(PathBuf),
    #[error("its shell {} is no program of this device", .0.display())]
    NoShell(PathBuf),
    #[error("{0} exists")]
    File(&'static str),
    #[error("the shadow database cannot be read: {0}")]
    Unreadable(Errno),
}

/// Whether `account` may be used at this time of the authority.
///
/// # Errors
/// What closes it.
pub(super) fn judge(account: &Account, unix_ms: u64) -> Result<(), Closed> {
    // An agent that is not root is this account already: the account's fields keep nobody out.
    let own = !geteuid().is_root() && account.uid == geteuid();
    let objection = by_file(account.is_root())
        .or_else(|| by_shell(&account.shell, account.is_root()).filter(|_| !own))
        .or_else(|| by_shadow(account, unix_ms / DAY_MS).filter(|_| !own));
    objection.map_or(Ok(()), |why| Err(Closed { account: account.name.clone(), why }))
}

/// Also a link to such a program, and a shell that is no program at all (`/dev/null`,
/// `/nonexistent`), as OpenSSH's server reads them. Root gets in without a shell, to repair it.
fn by_shell(shell: &Path, is_root: bool) -> Option<Why> {
    let lets_nobody_in = |path: &Path| {
        path.file_name().is_some_and(|name| LETS_NOBODY_IN.iter().any(|known| name == *known))
    };
    let real = shell.canonicalize();
    if lets_nobody_in(shell) || real.as_deref().is_ok_and(lets_nobody_in) {
        return Some(Why::Shell(shell.to_owned()));
    }
    let seen = real.and_then(std::fs::metadata);
    let is_program =
        seen.is_ok_and(|seen| seen.is_file() && seen.permissions().mode() & 0o111 != 0);
    (!is_program && !is_root).then(|| Why::NoShell(shell.to_owned()))
}

fn by_file(is_root: bool) -> Option<Why> {
    let mut files = NOBODY_LOGS_IN.into_iter().filter(|_| !is_root);
    files.find(|path| Path::new(path).exists()).map(Why::File)
}

fn by_shadow(account: &Account, today: u64) -> Option<Why> {
    let name = CString::new(account.name.as_str()).ok()?;
    match calls::shadow(&name) {
        Ok(Some(shadow)) => objection(&shadow, account.is_root(), i64::try_from(today).ok()?),
        Ok(None) => (account.locked && !account.is_root()).then_some(Why::Locked),
        Err(errno) => Some(Why::Unreadable(errno)),
    }
}

/// As `shadow(5)` and `pam_unix` read the fields; -1 stands for an empty one.
fn objection(shadow: &Shadow, is_root: bool, today: i64) -> Option<Why> {
    if shadow.locked && !is_root {
        return Some(Why::Locked);
    }
    if shadow.expires >= 0 && today >= shadow.expires {
        return Some(Why::Expired);
    }
    let ages = [shadow.changed, shadow.longest, shadow.inactive].iter().all(|days| *days >= 0);
    let over =
        today.saturating_sub(shadow.changed) > shadow.longest.saturating_add(shadow.inactive);
    (ages && shadow.changed > 0 && over).then_some(Why::Inactive)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Shadow =
        Shadow { locked: false, changed: 20_000, longest: 99_999, inactive: -1, expires: -1 };

    #[test]
    fn an_account_with_nothing_set_is_open() {
        assert_eq!(objection(&OPEN, false, 20_100), None);
    }

    #[test]
    fn a_locked_password_closes_everybody_but_root() {
        let locked = Shadow { locked: true, ..OPEN };
        assert_eq!(objection(&locked, false, 20_100), Some(Why::Locked));
        assert_eq!(objection(&locked, true, 20_100), None);
    }

    #[test]
    fn an_account_is_closed_from_the_day_of_its_expiry_on() {
        for (expires, why) in
            [(20_101, None), (20_100, Some(Why::Expired)), (1, Some(Why::Expired))]
        {
            assert_eq!(objection(&Shadow { expires, ..OPEN }, true, 20_100), why, "{expires}");
        }
    }

    #[test]
    fn an_old_password_closes_only_when_the_days_of_grace_are_over() {
        let aged = |inactive| Shadow { longest: 30, inactive, ..OPEN };
        assert_eq!(objection(&aged(-1), false, 20_100), None);
        assert_eq!(objection(&aged(70), false, 20_100), None);
        assert_eq!(objection(&aged(69), false, 20_100), Some(Why::Inactive));
    }

    #[test]
    fn shells_that_let_nobody_in_are_known_by_their_name_and_by_being_no_program() {
        for (shell, for_user, for_root) in [
            ("/usr/sbin/nologin", true, true),
            ("/bin/false", true, true),
            ("/dev/null", true, false),
            ("/nonexistent", true, false),
            ("/etc", true, false),
            ("/etc/passwd", true, false),
            ("/bin/sh", false, false),
        ] {
            let closed = |is_root| by_shell(Path::new(shell), is_root).is_some();
            assert_eq!((closed(false), closed(true)), (for_user, for_root), "{shell}");
        }
    }
}
