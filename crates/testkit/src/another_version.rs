//! The same program under another version number, without building it a second time: for tests of
//! upgrades.
//!
//! A program names its version in one constant. All places where its bytes stand are changed, to
//! one of the same length; what else is hit (a path in a message) plays no part.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::{Outcome, Trouble, files};

/// The version of the programs under test.
pub const CURRENT: &str = env!("CARGO_PKG_VERSION");
/// One later, of the same length.
pub const NEXT: &str = "0.1.1";

const _: () = assert!(
    CURRENT.len() == NEXT.len(),
    "another length would move everything that comes behind it"
);

/// The bytes of `program`, calling itself `version`.
///
/// # Errors
/// It does not name the current version, or `version` has another length.
pub fn bytes(program: &[u8], version: &str) -> Outcome<Vec<u8>> {
    if version.len() != CURRENT.len() {
        return Err(Trouble::new(format!("{version} is not as long as {CURRENT}")));
    }
    let mut changed = program.to_vec();
    let mut found = 0;
    let mut at = 0;
    while let Some(next) = changed.get(at..).and_then(|rest| position(rest, CURRENT.as_bytes())) {
        at += next;
        changed[at..at + version.len()].copy_from_slice(version.as_bytes());
        at += version.len();
        found += 1;
    }
    if found == 0 {
        return Err(Trouble::new(format!("the program does not say {CURRENT} anywhere")));
    }
    Ok(changed)
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| byte == first)?;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

/// Puts `program` under another version in the place of `to`, whole or not at all, as a package
/// manager does.
///
/// # Errors
/// As [`bytes`], or what the system says.
pub fn install(program: &Path, version: &str, to: &Path) -> Outcome {
    let beside = to.with_extension("new");
    files::write(&beside, bytes(&std::fs::read(program)?, version)?)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755))?;
    Ok(std::fs::rename(beside, to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mention_of_the_version_is_changed_and_nothing_moves() {
        let program = format!("a{CURRENT}b{CURRENT}0");
        assert_eq!(bytes(program.as_bytes(), NEXT).unwrap(), format!("a{NEXT}b{NEXT}0").as_bytes());
        assert!(bytes(b"nothing", NEXT).is_err());
        assert!(bytes(program.as_bytes(), "10.1.1").is_err());
    }
}
