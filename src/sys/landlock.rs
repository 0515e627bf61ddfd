//! Landlock (landlock(7)): what a process may not do with files, with ports, and with programs
//! outside, whatever calls it finds for it.
//!
//! Data flow: the kernel's version -> the rights that this version knows -> a set of rules without
//! a rule, so all of them are forbidden -> this process, until its end.
//!
//! # Invariants
//! - It is a second wall behind the filter of system calls ([`super::seccomp`]): a kernel without
//!   it, or one that refuses it, is no error.
//!
//! # Not here
//! - Who is confined: `separation::confine`.

use super::calls;

/// What is left of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// Nothing.
    None,
    /// Files and folders can be read.
    Read,
}

/// `LANDLOCK_ACCESS_FS_*`: how many of these bits a version has, from version 1 on.
const FILE_RIGHTS: [u32; 5] = [13, 14, 15, 15, 16];
/// `LANDLOCK_ACCESS_FS_READ_FILE`, `LANDLOCK_ACCESS_FS_READ_DIR`.
const READING: u64 = 0b1100;
/// `LANDLOCK_ACCESS_NET_BIND_TCP`, since version 4. Connections stay: they are what the process is
/// for.
const BINDING: u64 = 1;
/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET` and `LANDLOCK_SCOPE_SIGNAL`, since version 6.
const OUTSIDE: u64 = 0b11;

/// The kernel's version; 0 where it has none.
pub(crate) fn version() -> u32 {
    calls::landlock_version()
}

/// Confines this process, for good. Gives the kernel's version of Landlock, 0 where it has none.
pub(crate) fn confine(files: Files) -> u32 {
    let version = version();
    if version == 0 || calls::landlock(rights(version, files)).is_err() {
        return 0;
    }
    version
}

/// The rights that are taken away: of files, of ports, and to what is outside.
fn rights(version: u32, files: Files) -> [u64; 3] {
    let known = FILE_RIGHTS.iter().take(version as usize).next_back().copied().unwrap_or(0);
    let all = (1_u64 << known) - 1;
    let files = if files == Files::Read { all & !READING } else { all };
    [files, if version >= 4 { BINDING } else { 0 }, if version >= 6 { OUTSIDE } else { 0 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_asked_for_what_it_knows() {
        for (version, expected) in [
            (1, [0x1fff, 0, 0]),
            (2, [0x3fff, 0, 0]),
            (3, [0x7fff, 0, 0]),
            (4, [0x7fff, 1, 0]),
            (5, [0xffff, 1, 0]),
            (6, [0xffff, 1, 3]),
            (99, [0xffff, 1, 3]),
        ] {
            assert_eq!(rights(version, Files::None), expected, "{version}");
            let [files, ..] = rights(version, Files::Read);
            assert_eq!(files, expected[0] & !0b1100, "{version}");
        }
    }
}
