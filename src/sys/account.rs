//! The account that a session runs as, from the device's user database.
//!
//! Read through the C library, with all its sources (files; with a dynamic C library also
//! directory services). Read at each opening and never kept: a removed account opens no further
//! session.

use crate::limits;
use nix::unistd::{Gid, Uid, User};
use std::ffi::CString;
use std::path::PathBuf;

/// An account, complete enough to become it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// All groups, the primary one included.
    pub groups: Vec<Gid>,
    /// Home directory as the database says; it may not exist.
    pub home: PathBuf,
    /// Login shell; `/bin/sh` where the database says nothing.
    pub shell: PathBuf,
    /// Its password is locked in the user database itself, as on devices without a shadow database.
    pub locked: bool,
}

/// Why a session cannot run as the account that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database has no such account.
    #[error("this device has no account \"{0}\"")]
    Unknown(String),
    /// The agent is not root, and so can only be itself.
    #[error("the agent runs as \"{own}\", not as root, and cannot start a session as \"{wanted}\"")]
    NotRoot {
        /// The account that the agent runs as.
        own: String,
        /// Who was asked for.
        wanted: String,
    },
    /// The kernel takes the number for "as it is": the session would keep the agent's rights.
    #[error(
        "the account \"{0}\" has the number {max}, which stands for no user or group: give it \
         another one",
        max = u32::MAX
    )]
    NoNumber(String),
    /// A directory service takes several spellings, and policies compare letters.
    #[error("this device calls the account \"{asked}\" \"{name}\": ask for it by that name")]
    Spelling {
        /// The spelling that was asked for.
        asked: String,
        /// The name.
        name: String,
    },
    /// The database could not be read.
    #[error("cannot look up the account \"{name}\": {source}")]
    Database {
        /// Who was asked for.
        name: String,
        /// What the C library said.
        source: nix::Error,
    },
}

impl Account {
    /// Looks an account up by name, and makes sure that this process can become it.
    ///
    /// # Errors
    /// No such account, one without a number of its own, an unreadable database, or an agent
    /// without the right to change its user.
    pub fn find(name: &str) -> Result<Self, AccountError> {
        if name.is_empty() {
            return Err(AccountError::Unknown(String::new())); // a line of the database may begin so
        }
        let database = |source| AccountError::Database { name: name.to_owned(), source };
        let own = nix::unistd::geteuid();
        let Some(user) = User::from_name(name).map_err(database)? else {
            // A container may run under a number without a name. A number that has one is not
            // another spelling of it: policies compare names.
            let is_own =
                name == own.to_string() && User::from_uid(own).map_err(database)?.is_none();
            return match is_own {
                true => Ok(Self::nameless(own)),
                false => Err(AccountError::Unknown(name.to_owned())),
            };
        };
        one_spelling(name, &user.name)?;
        if [user.uid.as_raw(), user.gid.as_raw()].contains(&u32::MAX) {
            return Err(AccountError::NoNumber(user.name));
        }
        if !own.is_root() && own != user.uid {
            return Err(AccountError::NotRoot { own: own_name(), wanted: name.to_owned() });
        }
        let c_name =
            CString::new(user.name.as_str()).map_err(|_| AccountError::Unknown(name.to_owned()))?;
        let mut groups = nix::unistd::getgrouplist(&c_name, user.gid).map_err(database)?;
        groups.truncate(limits::GROUPS);
        let shell =
            if user.shell.as_os_str().is_empty() { PathBuf::from("/bin/sh") } else { user.shell };
        let locked = is_locked(user.passwd.to_bytes());
        let (name, home) = (user.name, user.dir);
        Ok(Self { name, uid: user.uid, gid: user.gid, groups, home, shell, locked })
    }

    /// The agent's own, where the database has no name for it.
    fn nameless(own: Uid) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        Self {
            name: own.to_string(),
            uid: own,
            gid: nix::unistd::getegid(),
            groups: nix::unistd::getgroups().unwrap_or_default(),
            home: home.filter(|home| home.is_absolute()).unwrap_or_else(|| "/".into()),
            shell: "/bin/sh".into(),
            locked: false,
        }
    }

    /// True if this account can do anything on the device.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.uid.is_root()
    }
}

/// Whether an account was asked for by its name.
fn one_spelling(asked: &str, name: &str) -> Result<(), AccountError> {
    if asked == name {
        return Ok(());
    }
    Err(AccountError::Spelling { asked: asked.to_owned(), name: name.to_owned() })
}

/// Whether somebody has put a `!` before a password, or before the `*` that stands for none.
pub(crate) fn is_locked(password: &[u8]) -> bool {
    let behind = password.strip_prefix(b"!").unwrap_or_default();
    behind.iter().any(|byte| *byte != b'!')
}

/// The name of the account the agent itself runs as; its number where it has no name.
#[must_use]
pub fn own_name() -> String {
    let uid = nix::unistd::geteuid();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_does_not_exist_is_named_in_the_error() {
        let error = Account::find("no-such-account-here").unwrap_err();
        assert_eq!(error.to_string(), "this device has no account \"no-such-account-here\"");
    }

    #[test]
    fn an_account_with_a_name_is_not_found_by_its_number() {
        let own = nix::unistd::geteuid();
        let has_name = User::from_uid(own).unwrap().is_some();
        assert_eq!(Account::find(&own.to_string()).is_err(), has_name);
    }

    /// Directory services find `ANN` and `ann@corp` as `ann`: a rule about `ann` would be passed.
    #[test]
    fn an_account_is_asked_for_by_its_name_alone() {
        assert!(one_spelling("ann", "ann").is_ok());
        for asked in ["ANN", "ann@corp", "Ann"] {
            let error = one_spelling(asked, "ann").unwrap_err();
            assert!(error.to_string().contains("ask for it by that name"), "{error}");
        }
    }

    #[test]
    fn the_own_account_is_found_with_its_primary_group_among_its_groups() {
        let account = Account::find(&own_name()).unwrap();
        assert_eq!(account.uid, nix::unistd::geteuid());
        assert!(account.groups.contains(&account.gid));
        assert!(account.shell.is_absolute());
    }
}
