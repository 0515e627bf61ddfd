//! The device's own policy: the last word, whatever was granted.
//!
//! Asked after a grant was found genuine. It can only take away. Patterns may end in `*`.

use crate::pty::account::Account;

/// What the device permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePolicy {
    /// Whether a session may run as root.
    pub allow_root: bool,
    /// As whom sessions may run.
    pub allowed_users: Vec<String>,
    /// Which session documents may be used.
    pub allowed_documents: Vec<String>,
    /// Where forwards may lead, `HOST:PORT`; none by default.
    pub allowed_forwards: Vec<String>,
}

impl Default for DevicePolicy {
    fn default() -> Self {
        let all = || vec!["*".to_owned()];
        Self { allow_root: true, allowed_users: all(), allowed_documents: all(), allowed_forwards: Vec::new() }
    }
}

/// What the device forbids, for the operator's eyes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Root.
    #[error("this device does not allow sessions as root (policy.allow_root)")]
    Root,
    /// That account.
    #[error("this device does not allow sessions as {0} (policy.allowed_users)")]
    User(String),
    /// That document.
    #[error("this device does not allow the document {0} (policy.allowed_documents)")]
    Document(String),
}

impl DevicePolicy {
    /// Whether a session of `document` may run as `account`.
    ///
    /// # Errors
    /// The first rule that forbids it.
    pub fn permit(&self, account: &Account, document: &str) -> Result<(), Forbidden> {
        if account.is_root() && !self.allow_root {
            return Err(Forbidden::Root);
        }
        if !names(&self.allowed_users, &account.name) {
            return Err(Forbidden::User(account.name.clone()));
        }
        if !names(&self.allowed_documents, document) {
            return Err(Forbidden::Document(document.to_owned()));
        }
        Ok(())
    }
}

fn names(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(front) => name.starts_with(front),
        None => pattern == name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{Gid, Uid};

    fn account(name: &str, uid: u32) -> Account {
        Account {
            name: name.into(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(uid),
            groups: vec![],
            home: "/".into(),
            shell: "/bin/sh".into(),
        }
    }

    #[test]
    fn by_default_whoever_was_granted_may_enter() {
        DevicePolicy::default().permit(&account("root", 0), "SSM-SessionManagerRunShell").unwrap();
    }

    #[test]
    fn an_account_with_root_s_number_is_root_whatever_its_name() {
        let policy = DevicePolicy { allow_root: false, ..DevicePolicy::default() };
        assert_eq!(policy.permit(&account("toor", 0), "d"), Err(Forbidden::Root));
        assert_eq!(policy.permit(&account("ann", 1000), "d"), Ok(()));
    }

    #[test]
    fn users_and_documents_are_matched_whole_or_by_their_beginning() {
        let policy = DevicePolicy {
            allowed_users: vec!["ops-*".into()],
            allowed_documents: vec!["Shell".into()],
            ..DevicePolicy::default()
        };
        assert_eq!(policy.permit(&account("ops-ann", 1), "Shell"), Ok(()));
        assert_eq!(policy.permit(&account("ann", 1), "Shell"), Err(Forbidden::User("ann".into())));
        assert_eq!(policy.permit(&account("ops-ann", 1), "Shell2"), Err(Forbidden::Document("Shell2".into())));
    }
}
