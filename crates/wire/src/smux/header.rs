//! Frames of smux: the header, its commands, and what breaks the rules.
//!
//! # Invariants
//! - A header of an unknown version or command is an error. It is never skipped.

/// Bytes of a frame's header.
pub const HEADER: usize = 8;
/// Most data bytes that our ends put into one frame: one turn of a connection. Any length is taken
/// in.
pub const MAX_DATA: usize = 16 * 1024;
/// Bytes that may be sent on a new stream of version 2 before its first window is known: a request
/// fits, and a hundred streams cost a device no more than a mebibyte.
pub const INITIAL_WINDOW: u32 = 8 * 1024;
/// Longest text of a reset, bytes.
pub const MAX_REASON: usize = 255;
/// Bytes of the largest frame without data.
pub const MAX_CONTROL: usize = HEADER + MAX_REASON;

/// Which dialect of smux both ends speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// As session-manager-plugin.
    One = 1,
    /// As our own ends.
    Two = 2,
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Opens a stream.
    Syn = 0,
    /// Ends a stream (version 1), or its one direction (version 2).
    Fin = 1,
    /// Carries data.
    Psh = 2,
    /// Means nothing.
    Nop = 3,
    /// Version 2: so much was taken, and such is the window. Two u32, little-endian.
    Upd = 4,
    /// Version 2: ends a stream at once; UTF-8 text says why.
    Rst = 5,
}

/// The eight bytes in front of a frame's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of all frames of a session the same.
    pub version: Version,
    /// What for.
    pub command: Command,
    /// Bytes that follow.
    pub length: u16,
    /// Which stream; the client's are odd and grow.
    pub stream: u32,
}

/// Why the other end cannot be understood any more. The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// Not a version that is spoken here, or another than before.
    #[error("a tunnel frame has version {0}")]
    Version(u8),
    /// Not a command of that version.
    #[error("a tunnel frame has command {0}")]
    Command(u8),
    /// Data where none belong, or too few.
    #[error("a tunnel frame of command {command} has {length} bytes")]
    Length {
        /// Which command.
        command: u8,
        /// How many bytes it claims.
        length: u16,
    },
    /// A stream was opened twice, or by the end that opens none.
    #[error("tunnel stream {0} was opened against the rules")]
    Opened(u32),
    /// More than the window allows, or behind the end.
    #[error("tunnel stream {0} was sent more than it may take")]
    Overrun(u32),
    /// Streams are opened faster than their refusals leave.
    #[error("tunnel streams are opened faster than they can be refused")]
    Flood,
}

impl Header {
    /// Its bytes.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER] {
        let [l0, l1] = self.length.to_le_bytes();
        let [s0, s1, s2, s3] = self.stream.to_le_bytes();
        [self.version as u8, self.command as u8, l0, l1, s0, s1, s2, s3]
    }

    /// From its bytes.
    ///
    /// # Errors
    /// [`Broken`] for an unknown version or command.
    pub fn decode([version, command, l0, l1, stream @ ..]: [u8; HEADER]) -> Result<Self, Broken> {
        let version = match version {
            1 => Version::One,
            2 => Version::Two,
            other => return Err(Broken::Version(other)),
        };
        let command = match (command, version) {
            (0, _) => Command::Syn,
            (1, _) => Command::Fin,
            (2, _) => Command::Psh,
            (3, _) => Command::Nop,
            (4, Version::Two) => Command::Upd,
            (5, Version::Two) => Command::Rst,
            (other, _) => return Err(Broken::Command(other)),
        };
        Ok(Self {
            version,
            command,
            length: u16::from_le_bytes([l0, l1]),
            stream: u32::from_le_bytes(stream),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_headers() {
        let header = |version, command, length, stream| Header { version, command, length, stream };
        for (value, bytes) in [
            (header(Version::One, Command::Syn, 0, 3), [1, 0, 0, 0, 3, 0, 0, 0]),
            (header(Version::One, Command::Psh, 0x8000, 5), [1, 2, 0, 0x80, 5, 0, 0, 0]),
            (header(Version::One, Command::Nop, 0, 0), [1, 3, 0, 0, 0, 0, 0, 0]),
            (header(Version::Two, Command::Upd, 8, 0x0102_0304), [2, 4, 8, 0, 4, 3, 2, 1]),
            (header(Version::Two, Command::Rst, 2, 7), [2, 5, 2, 0, 7, 0, 0, 0]),
        ] {
            assert_eq!(value.encode(), bytes);
            assert_eq!(Header::decode(bytes), Ok(value));
        }
    }

    #[test]
    fn what_a_version_does_not_have_is_refused() {
        assert_eq!(Header::decode([3, 0, 0, 0, 0, 0, 0, 0]), Err(Broken::Version(3)));
        assert_eq!(Header::decode([1, 4, 0, 0, 0, 0, 0, 0]), Err(Broken::Command(4)));
        assert_eq!(Header::decode([2, 6, 0, 0, 0, 0, 0, 0]), Err(Broken::Command(6)));
    }
}
