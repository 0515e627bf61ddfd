//! A terminal type that the device knows, where it does not know the operator's.
//!
//! Data flow: the operator's `TERM` -> entries of the device's terminfo database, by their file
//! names -> the same word, or one of a terminal that behaves much alike.
//!
//! # Invariants
//! - A device without a database keeps the operator's word: its programs read none.
//!
//! # Not here
//! - Databases that are one file (BSD), and the content of entries.

use std::path::{Path, PathBuf};

/// Where databases are, see `terminfo(5)`; `~/.terminfo` goes before them.
const DIRECTORIES: [&str; 5] = [
    "/etc/terminfo",
    "/lib/terminfo",
    "/usr/share/terminfo",
    "/usr/lib/terminfo",
    "/usr/local/share/terminfo",
];
/// For `screen-256color`, `tmux` and their kin.
const MULTIPLEXERS: [&str; 2] = ["screen-256color", "screen"];
/// For all others: today's terminals are xterms.
const OTHERS: [&str; 5] = ["xterm-256color", "xterm", "linux", "vt100", "ansi"];

/// What `TERM` is to be in place of `asked`; `None` to keep it.
pub(crate) fn instead_of(asked: &str, home: &Path) -> Option<&'static str> {
    let mut directories: Vec<PathBuf> = DIRECTORIES.map(PathBuf::from).to_vec();
    directories.push(home.join(".terminfo"));
    choose(asked, &directories)
}

fn choose(asked: &str, directories: &[PathBuf]) -> Option<&'static str> {
    if asked == "dumb" || knows(asked, directories) {
        return None;
    }
    let is_multiplexer = asked.starts_with("screen") || asked.starts_with("tmux");
    let alike = MULTIPLEXERS.into_iter().filter(|_| is_multiplexer).chain(OTHERS);
    alike.into_iter().find(|name| knows(name, directories))
}

/// Entries are in a folder for their first character, or for its number.
fn knows(name: &str, directories: &[PathBuf]) -> bool {
    let Some(first) = name.bytes().next().filter(|byte| byte.is_ascii_alphanumeric()) else {
        return false;
    };
    let folders = [char::from(first).to_string(), format!("{first:x}")];
    !name.contains('/')
        && directories.iter().any(|directory| {
            folders.iter().any(|folder| directory.join(folder).join(name).exists())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(entries: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let temp = tempfile::tempdir().unwrap();
        for entry in entries {
            let path = temp.path().join(entry);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::state::atomic::replace(&path, b"", 0o600).unwrap();
        }
        let directories = vec![PathBuf::from("/no/such/folder"), temp.path().to_owned()];
        (temp, directories)
    }

    #[test]
    fn a_type_that_the_device_knows_is_kept() {
        let (_temp, directories) = database(&["x/xterm-kitty", "76/vt220", "x/xterm"]);
        for asked in ["xterm-kitty", "vt220", "dumb"] {
            assert_eq!(choose(asked, &directories), None, "{asked}");
        }
    }

    #[test]
    fn an_unknown_type_becomes_the_nearest_that_the_device_knows() {
        let (_temp, directories) = database(&["x/xterm", "s/screen", "v/vt100"]);
        for (asked, expected) in [
            ("xterm-ghostty", "xterm"),
            ("tmux-256color", "screen"),
            ("../v/vt100", "xterm"),
            ("", "xterm"),
        ] {
            assert_eq!(choose(asked, &directories), Some(expected), "{asked}");
        }
    }

    #[test]
    fn without_a_database_the_operators_word_stays() {
        assert_eq!(choose("xterm-ghostty", &[PathBuf::from("/no/such/folder")]), None);
    }
}
