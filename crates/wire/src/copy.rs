//! Files between an operator and a device: what the two ends of a copy say to each other.
//!
//! On the device a program of the agent's speaks this on its standard input and output, as the
//! session's user. Frames are those of [`crate::frame`]: control for the messages here, data
//! (stream 0, offset in the file) for content.
//!
//! One question at a time; the operator asks:
//! - [`Ask::Look`] is answered by [`Answer::Is`].
//! - [`Ask::List`] is answered by any number of [`Answer::Item`] and [`Answer::End`].
//! - [`Ask::Read`] is answered by data from that offset on, and [`Answer::Whole`].
//! - [`Ask::Write`] is answered by [`Answer::Have`]; the operator sends data from there on, and
//!   [`Ask::Whole`], which is answered by [`Answer::Done`]. Until then the content of a regular
//!   file has another name, and stays under it when the copy breaks off: the next one goes on
//!   there.
//! - [`Ask::Folder`] is answered by [`Answer::Done`].
//!
//! Any of them may be answered by [`Answer::Failed`] instead; for a write that is the end of its
//! data as well.
//!
//! # Versions
//! The device's end begins with a frame `Version` that has [`VERSIONS`]. An end that sends none has
//! version 1, and an operator's end of version 1 passes over the frame. Version 2 has the same
//! messages, and these promises of the device's end:
//! - It opens no symbolic link unless the launch says so.
//! - It writes into device nodes and FIFOs; it renames over regular files alone.
//! - A write has exactly one answer behind [`Answer::Have`], also when its data failed before
//!   [`Ask::Whole`] came: the operator can go on with the next file.
//!
//! # Invariants
//! - A regular file has its own name only when it is whole: the digest is over all of its content,
//!   whatever was there before.
//! - Paths are below the place that the session was granted for; names of a listing are one
//!   component each.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::message::Version;

/// The versions of this protocol that the device's end speaks.
pub const VERSIONS: Version = Version { min: 1, max: 2 };
/// The version since which the device's end keeps the promises of [the module](self).
pub const CAREFUL: u16 = 2;

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Nothing is there.
    Nothing,
    /// A file with content.
    File,
    /// A folder.
    Folder,
    /// Something else: a link, a device, a socket. It is not copied.
    Other,
}

/// From the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// What is there? A link is refused, unless links are followed.
    Look(String),
    /// What is in this folder? Links are told as such, unless links are followed.
    List(String),
    /// Its content.
    Read {
        /// Which file.
        path: String,
        /// From here on.
        offset: u64,
    },
    /// New content is coming.
    Write {
        /// Which file.
        path: String,
        /// Permission bits, nine of them.
        mode: u32,
        /// Bytes it will have: room for them is asked for. 0 also means that nobody knows: the
        /// content is a stream, and nothing is kept of it when the copy breaks off.
        size: u64,
        /// First bytes of the content's digest, by which a broken off copy of the same content is
        /// known again.
        mark: [u8; 8],
    },
    /// All content was sent; SHA-256 of it.
    Whole([u8; 32]),
    /// A folder is to be there.
    Folder {
        /// Which.
        path: String,
        /// Permission bits, for a new one.
        mode: u32,
    },
}

/// From the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// What is there.
    Is(Entry),
    /// Something in a folder.
    Item {
        /// Its name in the folder.
        name: String,
        /// What it is.
        entry: Entry,
    },
    /// That was all of the folder. So many have names that cannot be said.
    End {
        /// How many.
        unnamed: u32,
    },
    /// That was all of the file; SHA-256 of the whole of it.
    Whole([u8; 32]),
    /// So much is there of an earlier copy.
    Have(u64),
    /// It is done.
    Done,
    /// It is not; words for the operator.
    Failed(String),
}

/// What is known of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Bytes, of a file.
    pub size: u64,
    /// Permission bits, nine of them.
    pub mode: u32,
}

/// How [`Ask::Write`]'s mark is written in the name of a partial file.
#[must_use]
pub fn mark_of(mark: [u8; 8]) -> String {
    alloc::format!("{:016x}", u64::from_be_bytes(mark))
}

/// Whether a name is one component of a path, and nothing that leads elsewhere.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Whether `path` is `root` or lies below it, by its letters.
#[must_use]
pub fn is_below(root: &str, path: &str) -> bool {
    let root = root.trim_end_matches('/');
    let Some(rest) = path.strip_prefix(root) else { return false };
    let rest = match rest.strip_prefix('/') {
        Some(rest) => rest,
        None => return rest.is_empty(),
    };
    rest.is_empty() || rest.split('/').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::encode;

    #[test]
    fn golden_bytes_of_a_copy() {
        let entry = Entry { kind: Kind::File, size: 300, mode: 0o644 };
        assert_eq!(encode(&Ask::Look("a".into())).unwrap(), [0, 1, b'a']);
        assert_eq!(encode(&Ask::Read { path: "a".into(), offset: 7 }).unwrap(), [2, 1, b'a', 7]);
        let write = Ask::Write { path: "a".into(), mode: 1, size: 2, mark: [3; 8] };
        assert_eq!(encode(&write).unwrap(), [3, 1, b'a', 1, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(encode(&Ask::Folder { path: "a".into(), mode: 5 }).unwrap(), [5, 1, b'a', 5]);
        assert_eq!(encode(&Answer::Is(entry)).unwrap(), [0, 1, 0xac, 2, 0xa4, 3]);
        assert_eq!(encode(&Answer::End { unnamed: 2 }).unwrap(), [2, 2]);
        assert_eq!(encode(&Answer::Failed("n".into())).unwrap(), [6, 1, b'n']);
    }

    #[test]
    fn a_path_below_the_root_is_told_by_its_letters() {
        for (root, path) in
            [("/a", "/a"), ("/a", "/a/b/c"), ("/a/", "/a/b"), ("/", "/a"), ("a", "a/b"), ("/", "/")]
        {
            assert!(is_below(root, path), "{root} {path}");
        }
        for (root, path) in [
            ("/a", "/ab"),
            ("/a", "/a/../b"),
            ("/a", "/a/./b"),
            ("/a", "/a//b"),
            ("/a", "/"),
            ("a", "/a"),
        ] {
            assert!(!is_below(root, path), "{root} {path}");
        }
        for name in ["", ".", "..", "a/b", "a\0"] {
            assert!(!is_name(name));
        }
        assert!(is_name("...") && is_name("a b"));
    }
}
