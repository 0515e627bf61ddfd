//! File names and paths of Windows: which names it cannot hold, and which texts name a drive.
//!
//! # Invariants
//! - A name that is admitted is one component of a path, and no device of the system.

use std::collections::HashSet;

/// Names that Windows takes for devices, whatever their extension.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "conin$", "conout$"];
/// The same with a digit behind them.
const NUMBERED: &[&str] = &["com", "lpt"];

/// The names that were admitted to one folder.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<String>);

impl Names {
    /// Admits a name that a device gave, or says why Windows cannot hold it here.
    ///
    /// # Errors
    /// The reason, for people.
    pub(crate) fn admit(&mut self, name: &str) -> Result<(), String> {
        check(name)?;
        if !self.0.insert(name.to_lowercase()) {
            return Err("another name in its directory differs in case alone, which Windows does \
                        not tell apart"
                .to_owned());
        }
        Ok(())
    }
}

fn check(name: &str) -> Result<(), String> {
    if let Some(bad) = name.chars().find(|c| "<>:\"/\\|?*".contains(*c) || c.is_ascii_control()) {
        return Err(format!("Windows has no file names with {bad:?}"));
    }
    if name.ends_with(['.', ' ']) {
        return Err("Windows has no file names that end with a dot or a space".to_owned());
    }
    if is_device(name) {
        return Err("Windows takes this name for a device of its own".to_owned());
    }
    Ok(())
}

/// `nul`, `NUL.txt`, `com1`, and `com` with a superscript digit.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|rest| {
            let mut rest = rest.chars();
            let digit = rest.next().is_some_and(|c| c.is_ascii_digit() || "¹²³".contains(c));
            digit && rest.next().is_none()
        })
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED.iter().any(|device| numbered(device))
}

/// Whether a text is a path of Windows although it has a colon: `C:\x`, `C:x`, `\\server\share`,
/// `\\?\C:\x`, `dir\a`.
#[must_use]
pub(crate) fn is_own_path(text: &str) -> bool {
    let mut characters = text.chars();
    let drive = characters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && characters.next() == Some(':');
    let before = text.split(':').next().unwrap_or_default();
    drive || before.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_cannot_hold_are_refused_with_the_reason() {
        for (name, why) in [
            ("a:b", "':'"),
            ("..\\..\\x", "'\\\\'"),
            ("a?", "'?'"),
            ("a\nb", "'\\n'"),
            ("a.", "dot"),
            ("a ", "space"),
            ("NUL", "device"),
            ("nul.tar.gz", "device"),
            ("com1.log", "device"),
            ("LPT¹", "device"),
        ] {
            let told = Names::default().admit(name).unwrap_err();
            assert!(told.contains(why), "{name}: {told}");
        }
        for name in ["a", ".profile", "com", "com10", "console", "nul2", "é b", "a.b.c"] {
            assert_eq!(Names::default().admit(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_second_of_two_names_that_differ_in_case_alone_is_refused() {
        let mut names = Names::default();
        assert_eq!(names.admit("Makefile"), Ok(()));
        assert!(names.admit("makefile").unwrap_err().contains("case"));
    }

    #[test]
    fn a_drive_is_no_device_of_the_fleet() {
        for own in ["C:\\x", "c:x", "C:/x", "C:", "\\\\nas\\a:b", "\\\\?\\C:\\x", "dir\\a:b"] {
            assert!(is_own_path(own), "{own}");
        }
        for other in ["pi:/etc/hosts", "pi:a\\b", "tag:room=5:x", "mi-1:x", "a/b"] {
            assert!(!is_own_path(other), "{other}");
        }
    }
}
