//! Where configuration is.

use std::path::PathBuf;

/// The variable that names the home folder.
pub(crate) const HOME: &str = "HOME";
/// Names of this machine and its neighbours, see hosts(5).
pub(crate) const HOSTS: &str = "/etc/hosts";
/// The file of this program's configuration, for people.
pub(crate) const OWN_FILE: &str = "~/.config/towline/config.toml";
/// The kind of terminal where the environment names none.
pub(crate) const TERM: Option<&str> = None;

/// A variable's name as it is looked for.
#[must_use]
pub(crate) const fn variable_name(name: String) -> String {
    name
}

/// The folder of this program's configuration, by variables of the environment.
#[must_use]
pub(crate) fn own_folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = match variable("XDG_CONFIG_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(variable(HOME)?).join(".config"),
    };
    Some(folder.join("towline"))
}
