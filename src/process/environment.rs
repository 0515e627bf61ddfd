//! The environment of a login session, without the agent's own.
//!
//! Later sources win: defaults for the account, the device's locale, `/etc/environment`, the
//! operator's wishes (`TERM`, `LANG` and others, see [`ACCEPTED`]), the session's own variables.
//! The agent's environment may hold a proxy password and is not passed on.

use crate::limits;
use crate::sys::account::Account;
use std::io::Read as _;
use std::path::Path;

/// Marks each process of a session, so that it is found again where there are no cgroups.
pub const SESSION_VARIABLE: &str = "TOWLINE_SESSION_ID";

/// Variables an operator may set, by name or (with a trailing `*`) by prefix. As OpenSSH's servers
/// are usually set up: locale and terminal, nothing that changes which code runs.
pub const ACCEPTED: &[&str] = &["TERM", "COLORTERM", "LANG", "LANGUAGE", "LC_*", "TZ", "NO_COLOR"];

const PATH_ROOT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PATH_USER: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

/// An ordered, bounded list of variables. Setting one that is there replaces it.
#[derive(Clone, Default)]
pub struct Environment {
    entries: Vec<(String, String)>,
}

/// Values may be secret: only the names are shown.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|(name, _)| name)).finish()
    }
}

impl Environment {
    /// The environment of a login of `account`, before the operator's wishes.
    #[must_use]
    pub fn of_login(account: &Account, session: &str, has_terminal: bool) -> Self {
        let mut env = Self::default();
        let home = account.home.to_string_lossy();
        let shell = account.shell.to_string_lossy();
        env.set("LANG", "C.UTF-8");
        env.set("PATH", if account.is_root() { PATH_ROOT } else { PATH_USER });
        if has_terminal {
            env.set("TERM", "xterm-256color");
        }
        for file in ["/etc/locale.conf", "/etc/default/locale"] {
            for (name, value) in system_wide(Path::new(file)) {
                env.ask(&name, &value);
            }
        }
        for (name, value) in system_wide(Path::new("/etc/environment")) {
            env.set(&name, &value);
        }
        for (name, value) in [
            ("HOME", &*home),
            ("USER", &*account.name),
            ("LOGNAME", &*account.name),
            ("SHELL", &*shell),
        ] {
            env.set(name, value);
        }
        env.set(SESSION_VARIABLE, session);
        env
    }

    /// Takes over what the operator asked for. Returns false, and changes nothing, for a name that
    /// is not accepted.
    pub fn ask(&mut self, name: &str, value: &str) -> bool {
        let accepted = ACCEPTED.iter().any(|rule| match rule.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *rule,
        });
        accepted && self.set(name, value)
    }

    /// Sets a variable; false if the name or value cannot stand in an environment, or there is no
    /// room.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return false;
        }
        if let Some(entry) = self.entries.iter_mut().find(|(known, _)| known == name) {
            value.clone_into(&mut entry.1);
            return true;
        }
        if self.entries.len() >= limits::ENVIRONMENT_ENTRIES {
            return false;
        }
        self.entries.push((name.to_owned(), value.to_owned()));
        true
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All variables, in the order in which they were first set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Reads a file in the form of `/etc/environment`; a missing or unreadable one has no variables.
fn system_wide(path: &Path) -> Vec<(String, String)> {
    let Ok(file) = std::fs::File::open(path) else { return Vec::new() };
    let mut text = Vec::new();
    if file.take(limits::ENVIRONMENT_FILE as u64).read_to_end(&mut text).is_err() {
        return Vec::new();
    }
    parse(&String::from_utf8_lossy(&text))
}

/// `NAME=value` by line, as `pam_env` reads it: `#` comments, an optional `export`, optional quotes
/// around a value.
fn parse(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), unquote(value.trim()).to_owned()))
        .take(limits::ENVIRONMENT_ENTRIES)
        .collect()
}

fn unquote(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{Gid, Uid};

    fn account(uid: u32) -> Account {
        Account {
            name: "mia".into(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(uid),
            groups: vec![],
            home: "/home/mia".into(),
            shell: "/bin/zsh".into(),
            locked: false,
        }
    }

    #[test]
    fn a_login_knows_its_user_home_and_shell() {
        let env = Environment::of_login(&account(1000), "s-1", true);
        for (name, value) in
            [("HOME", "/home/mia"), ("USER", "mia"), ("LOGNAME", "mia"), ("SHELL", "/bin/zsh")]
        {
            assert_eq!(env.get(name), Some(value));
        }
        assert_eq!(env.get(SESSION_VARIABLE), Some("s-1"));
    }

    #[test]
    fn an_operator_sets_the_locale_but_not_the_loader() {
        let mut env = Environment::of_login(&account(1000), "s-1", true);
        assert!(env.ask("LC_TIME", "de_DE.UTF-8"));
        assert!(!env.ask("LD_PRELOAD", "/tmp/evil.so"));
        assert!(!env.ask("PATH", "/tmp"));
        assert_eq!(env.get("LD_PRELOAD"), None);
    }

    #[test]
    fn the_system_wide_file_is_read_with_comments_quotes_and_export() {
        let read = parse("# hello\n\nA=1\nexport B=\"two words\"\nC='x'\nnonsense\n D = y \n");
        let expected = [("A", "1"), ("B", "two words"), ("C", "x"), ("D", "y")];
        assert_eq!(read, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn values_never_show_in_a_debug_print() {
        let mut env = Environment::default();
        assert!(env.set("SECRET", "hunter2"));
        assert_eq!(format!("{env:?}"), "[\"SECRET\"]");
    }

    #[test]
    fn there_are_never_more_variables_than_the_limit() {
        let mut env = Environment::default();
        let kept = (0..1000).filter(|i| env.set(&format!("V{i}"), "x")).count();
        assert_eq!(kept, limits::ENVIRONMENT_ENTRIES);
    }
}
