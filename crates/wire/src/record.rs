//! Records of the command log: what the sessions of a device executed, on their way to the gateway.
//!
//! Data flow: the agent numbers each record, keeps it encoded, and sends it in batches
//! ([`crate::message::FromAgent::Log`]); the gateway stores a batch in one transaction and says up
//! to where ([`crate::message::ToAgent::LogStored`]); only then the agent lets go of it.
//!
//! # Invariants
//! - (device, boot, number) names a record for ever. Numbers of one boot begin at 0 and have no
//!   holes: a record that was lost is covered by a [`Record::Gap`] that takes the numbers of all
//!   that it covers ([`Record::numbers`]).
//! - A record is at most [`LARGEST`] bytes; longer arguments are cut, and say so.
//!
//! # Not here
//! - Where records come from and what they mean to people: agent and gateway.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::epoch::BootNonce;
use crate::message::{ExitStatus, SessionName};

/// Most bytes of arguments in a record, the zero bytes between them counted.
pub const ARGUMENTS: usize = 1024;
/// Most bytes of a path in a record.
pub const PATH: usize = 256;
/// Most bytes of a text in a record: a typed line, a reason.
pub const TEXT: usize = 1024;
/// Largest encoded record: arguments, two paths, a session's name (96 bytes) and numbers.
pub const LARGEST: usize = ARGUMENTS + 2 * PATH + 256;
/// Most bytes of records in one batch. A quarter of a frame: a keystroke that comes meanwhile waits
/// for little.
pub const BATCH: usize = 4 * 1024;
/// Most bytes of records that were sent and not yet confirmed; the agent sends no more until then.
pub const IN_FLIGHT: usize = 32 * 1024;

const _: () = assert!(LARGEST <= BATCH, "a record would fit into no batch");

/// Where an agent's knowledge of processes comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The kernel's process events, read before the process that caused one goes on.
    Kernel,
    /// The kernel's process events, read when it is this program's turn: of short-lived programs
    /// the arguments may be missing, and then say so.
    KernelUnhurried,
    /// The table of processes, looked at again and again: short-lived programs are not seen.
    Polling,
    /// Nothing is logged, by the device's own setting.
    Off,
}

/// Why records are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lost {
    /// The kernel could not deliver events: how many, nobody knows.
    Kernel,
    /// More processes lived at once than are followed: how many were not, nobody knows.
    Processes,
    /// This program did not get round to so many events; no number was given to them.
    Reader {
        /// How many.
        events: u64,
    },
    /// The memory for records was full, and the oldest went.
    Memory,
    /// The disk's share was full, and the oldest went.
    Disk,
    /// The agent became another program, an upgrade: what was executed meanwhile is not known.
    Renewal,
    /// Programs since the gap before whose arguments were gone, or might have been another
    /// program's, when they were read: their records have none.
    Arguments {
        /// How many.
        programs: u64,
    },
}

/// Where the bytes of a program come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A file that has a name.
    File,
    /// A file whose last name was removed.
    Deleted,
    /// Memory without a file (memfd).
    Memory,
}

/// What the kernel executes in a process, whatever its arguments say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executable {
    /// The file system's number, as `stat` tells it.
    pub device: u64,
    /// The file's number there.
    pub inode: u64,
    /// Whether it is a file that has a name.
    pub origin: Origin,
    /// Its path, as the kernel tells it to the agent; the last [`PATH`] bytes of a longer one.
    #[serde(with = "bytes")]
    pub path: Vec<u8>,
}

/// One line of the log. `at`: milliseconds since the epoch, by the authority's clock where the
/// device has heard it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The agent began: number 0 of its boot.
    Started {
        /// When.
        at: u64,
        /// What it knows processes by.
        source: Source,
        /// Why not by something better; empty for the best.
        why: String,
    },
    /// A session began.
    Session {
        /// Which.
        session: SessionName,
        /// When.
        at: u64,
        /// Its first process.
        pid: u32,
        /// What its processes are known by.
        source: Source,
        /// Why not by something better; empty for the best.
        why: String,
    },
    /// A process of a session became a program.
    Exec {
        /// Whose.
        session: SessionName,
        /// When.
        at: u64,
        /// Which process.
        pid: u32,
        /// Who made it.
        parent: u32,
        /// As which user; `None` when the process had ended before it could be asked.
        uid: Option<u32>,
        /// Its arguments, each ended by a zero byte; empty when the process had ended before it
        /// could be asked.
        #[serde(with = "bytes")]
        arguments: Vec<u8>,
        /// Whether arguments were cut.
        cut: bool,
        /// Its working directory; empty when unknown.
        #[serde(with = "bytes")]
        directory: Vec<u8>,
    },
    /// A process that had become a program ended.
    Exit {
        /// Whose.
        session: SessionName,
        /// When.
        at: u64,
        /// Which process.
        pid: u32,
        /// How; `None` where the source cannot tell.
        status: Option<ExitStatus>,
        /// Milliseconds since it became its last program.
        lasted: u64,
    },
    /// A command line as it was typed or recalled, as far as that can be seen from a terminal.
    Line {
        /// Whose.
        session: SessionName,
        /// When.
        at: u64,
        /// The line.
        text: String,
    },
    /// A session is over, and so are its processes.
    SessionEnd {
        /// Which.
        session: SessionName,
        /// When.
        at: u64,
        /// Programs seen.
        executions: u64,
        /// Of these without their arguments.
        without_arguments: u64,
    },
    /// Something is missing here.
    Gap {
        /// When it was noticed.
        at: u64,
        /// Numbers that it covers; 0 for what never had one, which then takes one of its own.
        covers: u64,
        /// Why.
        lost: Lost,
    },
    /// The agent ended in good order: nothing of this boot follows.
    Stopped {
        /// When.
        at: u64,
    },
    /// As [`Record::Exec`], with what the kernel executes. Only for a gateway of version
    /// [`NAMES_EXECUTABLES`](crate::NAMES_EXECUTABLES), see [`without_executables`].
    Executed {
        /// Whose.
        session: SessionName,
        /// When.
        at: u64,
        /// Which process.
        pid: u32,
        /// Who made it.
        parent: u32,
        /// As which user.
        uid: Option<u32>,
        /// Its arguments, each ended by a zero byte.
        #[serde(with = "bytes")]
        arguments: Vec<u8>,
        /// Whether arguments were cut.
        cut: bool,
        /// Its working directory; empty when unknown.
        #[serde(with = "bytes")]
        directory: Vec<u8>,
        /// What the kernel executes.
        executable: Executable,
    },
}

impl Record {
    /// How many numbers it takes.
    #[must_use]
    pub const fn numbers(&self) -> u64 {
        match self {
            Self::Gap { covers, .. } if *covers > 0 => *covers,
            _ => 1,
        }
    }

    /// As a gateway reads it that is older than [`Record::Executed`].
    #[must_use]
    pub fn without_executable(self) -> Self {
        match self {
            Self::Executed {
                session,
                at,
                pid,
                parent,
                uid,
                arguments,
                cut,
                directory,
                executable: _,
            } => Self::Exec { session, at, pid, parent, uid, arguments, cut, directory },
            other => other,
        }
    }

    /// The session it belongs to, if to one.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        match self {
            Self::Session { session, .. }
            | Self::Exec { session, .. }
            | Self::Executed { session, .. }
            | Self::Exit { session, .. }
            | Self::Line { session, .. }
            | Self::SessionEnd { session, .. } => Some(session),
            Self::Started { .. } | Self::Gap { .. } | Self::Stopped { .. } => None,
        }
    }
}

/// Some records of one boot, encoded one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Which start of the agent they belong to.
    pub boot: BootNonce,
    /// Number of the first.
    pub first: u64,
    /// The number behind the last: a receiver that cannot read all of them knows what it has
    /// missed.
    pub next: u64,
    /// The records, at most [`BATCH`] bytes.
    #[serde(with = "bytes")]
    pub records: Vec<u8>,
}

/// Encodes one record for a [`Batch`].
#[must_use]
pub fn encode(record: &Record) -> Vec<u8> {
    postcard::to_allocvec(record).unwrap_or_default() // plain data into memory: cannot fail
}

/// The first record of some bytes, and what follows it; `None` for bytes that begin with no record,
/// or with one of a later version.
#[must_use]
pub fn decode_first(bytes: &[u8]) -> Option<(Record, &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

/// The same records for a gateway that is older than [`Record::Executed`]. Their numbers stay.
#[must_use]
pub fn without_executables(mut records: &[u8]) -> Vec<u8> {
    let mut older = Vec::with_capacity(records.len());
    while let Some((record, rest)) = decode_first(records).filter(|_| !records.is_empty()) {
        older.extend(encode(&record.without_executable()));
        records = rest;
    }
    older
}

/// Byte strings in one piece: serde's own way is one element after the other.
mod bytes {
    use alloc::vec::Vec;
    use core::fmt;
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    struct Whole;

    impl de::Visitor<'_> for Whole {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exec(arguments: &[u8]) -> Record {
        Record::Exec {
            session: "a".into(),
            at: 5,
            pid: 300,
            parent: 1,
            uid: Some(0),
            arguments: arguments.into(),
            cut: false,
            directory: b"/".into(),
        }
    }

    fn executed(origin: Origin) -> Record {
        Record::Executed {
            session: "a".into(),
            at: 5,
            pid: 300,
            parent: 1,
            uid: None,
            arguments: b"ls\0".into(),
            cut: true,
            directory: b"/".into(),
            executable: Executable { device: 300, inode: 9, origin, path: b"/x".into() },
        }
    }

    #[test]
    fn golden_bytes_of_records() {
        let cases: [(Record, &[u8]); 7] = [
            (
                executed(Origin::File),
                &[
                    8, 1, b'a', 5, 0xac, 2, 1, 0, 3, b'l', b's', 0, 1, 1, b'/', 0xac, 2, 9, 0, 2,
                    b'/', b'x',
                ],
            ),
            (
                executed(Origin::Memory),
                &[
                    8, 1, b'a', 5, 0xac, 2, 1, 0, 3, b'l', b's', 0, 1, 1, b'/', 0xac, 2, 9, 2, 2,
                    b'/', b'x',
                ],
            ),
            (exec(b"ls\0"), &[2, 1, b'a', 5, 0xac, 2, 1, 1, 0, 3, b'l', b's', 0, 0, 1, b'/']),
            (
                Record::Exit {
                    session: "a".into(),
                    at: 6,
                    pid: 7,
                    status: Some(ExitStatus::Signal(9)),
                    lasted: 1,
                },
                &[3, 1, b'a', 6, 7, 1, 1, 9, 1],
            ),
            (Record::Gap { at: 7, covers: 300, lost: Lost::Memory }, &[6, 7, 0xac, 2, 3]),
            (
                Record::Gap { at: 7, covers: 0, lost: Lost::Arguments { programs: 300 } },
                &[6, 7, 0, 6, 0xac, 2],
            ),
            (Record::Stopped { at: 8 }, &[7, 8]),
        ];
        for (record, bytes) in cases {
            assert_eq!(encode(&record), bytes, "{record:?}");
            assert_eq!(decode_first(bytes), Some((record, &[][..])));
        }
    }

    #[test]
    fn the_largest_record_fits_into_its_bound() {
        let session = "s".repeat(96);
        let executable = Executable {
            device: u64::MAX,
            inode: u64::MAX,
            origin: Origin::Memory,
            path: alloc::vec![1; PATH],
        };
        let record = Record::Executed {
            session,
            at: u64::MAX,
            pid: u32::MAX,
            parent: u32::MAX,
            uid: Some(u32::MAX),
            arguments: alloc::vec![1; ARGUMENTS],
            cut: true,
            directory: alloc::vec![1; PATH],
            executable,
        };
        assert!(encode(&record).len() <= LARGEST);
    }

    #[test]
    fn an_older_gateway_gets_records_that_it_can_read() {
        let records = [encode(&executed(Origin::File)), encode(&Record::Stopped { at: 8 })];
        let expected = [
            encode(&executed(Origin::File).without_executable()),
            encode(&Record::Stopped { at: 8 }),
        ];
        assert_eq!(without_executables(&records.concat()), expected.concat());
        assert!(matches!(decode_first(&expected[0]), Some((Record::Exec { pid: 300, .. }, _))));
    }

    #[test]
    fn a_gap_takes_the_numbers_that_it_covers_and_everything_else_takes_one() {
        assert_eq!(Record::Gap { at: 0, covers: 7, lost: Lost::Disk }.numbers(), 7);
        assert_eq!(Record::Gap { at: 0, covers: 0, lost: Lost::Kernel }.numbers(), 1);
        assert_eq!(exec(b"").numbers(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_records_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Some((record, rest)) = decode_first(&bytes) {
                prop_assert!(rest.len() < bytes.len());
                let again = encode(&record);
                prop_assert_eq!(decode_first(&again).map(|(record, _)| record), Some(record));
            }
        }
    }
}
