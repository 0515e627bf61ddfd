//! What stands in the command log.
//!
//! # Invariants
//! - A record is at most [`LARGEST`] bytes; longer arguments are cut, and say so.

/// Most bytes of arguments in a record, separators among them.
pub const ARGUMENTS: usize = 1024;
/// Most bytes of a path in a record.
pub const PATH: usize = 256;
/// Largest record in the ring, bytes: arguments, path, numbers.
pub const LARGEST: usize = ARGUMENTS + PATH + 64;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A process of a session became a program.
    Exec {
        /// Number of the session.
        session: u16,
        /// Which process.
        pid: u32,
        /// Who made it.
        parent: u32,
        /// As which user; `None` when the process had ended before it could be asked.
        uid: Option<u32>,
        /// Its arguments, each ended by a zero byte; empty when the process had ended before it could be asked.
        arguments: Vec<u8>,
        /// Whether arguments were cut.
        cut: bool,
        /// Its working directory; empty when unknown.
        directory: Vec<u8>,
    },
    /// A process of a session ended.
    Exit {
        /// Number of the session.
        session: u16,
        /// Which process.
        pid: u32,
        /// As `wait` would say it.
        status: u32,
        /// Seconds since it became its program; `None` when it never became one of its own.
        lasted: Option<u32>,
    },
    /// Something is missing here.
    Gap(Gap),
}

/// What is missing, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// The kernel could not deliver events: how many, nobody knows.
    Kernel,
    /// More processes lived at once than are followed.
    TooManyProcesses,
    /// The ring was full: records with these numbers were dropped.
    Ring {
        /// The first.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
}
