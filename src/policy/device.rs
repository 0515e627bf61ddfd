//! The users, documents and destinations that the device permits.

use super::forwards::{self, Forward};
use super::login::{self, Closed};
use crate::sys::account::Account;

/// What the device permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePolicy {
    /// Whether a session may run as root.
    pub allow_root: bool,
    /// Whether a session may run as an account that is locked, expired or without a login shell,
    /// and while `/etc/nologin` exists.
    pub allow_locked_accounts: bool,
    /// Whether a program may go on without its session's link and operator.
    pub allow_detach: bool,
    /// Users that sessions may run as.
    pub allowed_users: Vec<String>,
    /// Which session documents may be used.
    pub allowed_documents: Vec<String>,
    /// Where forwards may lead; by default to the device itself.
    pub allowed_forwards: Vec<Forward>,
}

impl Default for DevicePolicy {
    fn default() -> Self {
        let all = || vec!["*".to_owned()];
        let allowed_forwards = Forward::parse("localhost:*").into_iter().collect();
        Self {
            allow_root: true,
            allow_locked_accounts: false,
            allow_detach: false,
            allowed_users: all(),
            allowed_documents: all(),
            allowed_forwards,
        }
    }
}

/// A denial, shown to the operator.
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
    /// A program that needs no link.
    #[error("this device does not allow detached programs (sessions.allow_detach)")]
    Detach,
    /// That destination.
    #[error("this device does not allow forwards to {0} (policy.allowed_forwards)")]
    Forward(String),
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
        self.permit_document(document)
    }

    /// Whether a program may be detached.
    ///
    /// # Errors
    /// The setting that forbids it.
    pub fn permit_detach(&self) -> Result<(), Forbidden> {
        if self.allow_detach { Ok(()) } else { Err(Forbidden::Detach) }
    }

    /// Whether the device's administrator lets this account be used, at this time of the authority.
    ///
    /// # Errors
    /// What closes it.
    pub fn permit_login(&self, account: &Account, unix_ms: u64) -> Result<(), Closed> {
        if self.allow_locked_accounts { Ok(()) } else { login::judge(account, unix_ms) }
    }

    /// Whether a tunnel of `document` may be opened to there. It runs no program, so no user
    /// counts. What a name means is judged with each connection.
    ///
    /// # Errors
    /// The first rule that forbids it.
    pub fn permit_tunnel(
        &self,
        host: Option<&str>,
        port: u16,
        document: &str,
    ) -> Result<(), Forbidden> {
        self.permit_document(document)?;
        if !forwards::may_permit(&self.allowed_forwards, host, port) {
            return Err(Forbidden::Forward(format!("{}:{port}", host.unwrap_or("localhost"))));
        }
        Ok(())
    }

    fn permit_document(&self, document: &str) -> Result<(), Forbidden> {
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
            locked: false,
        }
    }

    #[test]
    fn by_default_every_grant_is_permitted() {
        DevicePolicy::default().permit(&account("root", 0), "SSM-SessionManagerRunShell").unwrap();
    }

    #[test]
    fn an_account_with_root_s_number_is_root_whatever_its_name() {
        let policy = DevicePolicy { allow_root: false, ..DevicePolicy::default() };
        assert_eq!(policy.permit(&account("toor", 0), "d"), Err(Forbidden::Root));
        assert_eq!(policy.permit(&account("ann", 1000), "d"), Ok(()));
    }

    #[test]
    fn by_default_forwards_lead_to_the_device_itself_and_no_user_counts() {
        let policy =
            DevicePolicy { allow_root: false, allowed_users: vec![], ..DevicePolicy::default() };
        assert_eq!(policy.permit_tunnel(None, 22, "d"), Ok(()));
        assert_eq!(
            policy.permit_tunnel(Some("10.0.0.1"), 22, "d"),
            Err(Forbidden::Forward("10.0.0.1:22".into()))
        );
        let policy = DevicePolicy { allowed_documents: vec![], ..policy };
        assert_eq!(policy.permit_tunnel(None, 22, "d"), Err(Forbidden::Document("d".into())));
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
        assert_eq!(
            policy.permit(&account("ops-ann", 1), "Shell2"),
            Err(Forbidden::Document("Shell2".into()))
        );
    }
}
