//! What a device says its kernel executed, in the form of the API.
//!
//! Data flow: [`Executable`] of a record or a row, and the arguments beside it -> [`ProgramFile`],
//! for markers of recordings, the API and the exported lines.
//!
//! # Not here
//! - Whether it is the file that the first argument names: `towline_ssm`.

use towline_ssm::api::evidence::{ProgramFile, names_file};
use towline_wire::record::{Executable, Origin};

/// For people and programs. `arguments`: each ended by a zero byte.
pub(crate) fn program_file(executable: &Executable, arguments: &[u8]) -> ProgramFile {
    let first = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    let path = String::from_utf8_lossy(&executable.path).into_owned();
    let named = names_file(&String::from_utf8_lossy(first), &path);
    ProgramFile {
        differs: !named || executable.origin != Origin::File,
        device: format!("{}:{}", major(executable.device), minor(executable.device)),
        inode: executable.inode,
        origin: match executable.origin {
            Origin::File => "File",
            Origin::Deleted => "Deleted",
            Origin::Memory => "Memory",
        }
        .to_owned(),
        path,
    }
}

/// As Linux packs them (`makedev(3)`).
const fn major(device: u64) -> u64 {
    (device >> 8 & 0xfff) | (device >> 32 & !0xfff)
}

const fn minor(device: u64) -> u64 {
    (device & 0xff) | (device >> 12 & 0xffff_ff00)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_named_by_two_numbers() {
        assert_eq!((major(0x0801), minor(0x0801)), (8, 1));
        assert_eq!((major(0x10_0000), minor(0x10_0000)), (0, 256));
        assert_eq!((major(0x1000_0000_0000), minor(0x1000_0000_0000)), (4096, 0));
    }

    #[test]
    fn what_has_no_name_differs_whatever_the_first_argument_says() {
        let of = |origin| Executable { device: 1, inode: 2, origin, path: b"/usr/bin/ls".into() };
        assert!(!program_file(&of(Origin::File), b"ls\0-l\0").differs);
        assert!(program_file(&of(Origin::Deleted), b"ls\0").differs);
        assert!(program_file(&of(Origin::File), b"").differs);
    }
}
