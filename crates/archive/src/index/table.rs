//! The form of an index.
//!
//! | bytes | what |
//! |---|---|
//! | 0 to 7 | `TWLINDX1` |
//! | 8 to 15 | where the table begins, little endian |
//! | 16 to 19 | length of the table, little endian |
//! | 20 to 23 | zero |
//! | from 24 | screens of keyframes, each a gzip member of text that draws the screen |
//! | the table | a gzip member: [`Table`] as JSON |
//!
//! # Invariants
//! - Keyframes stand in the order of the recording. The first is the beginning, without a screen.

use serde::{Deserialize, Serialize};
use towline_evidence::digest::Digest;

/// What an index begins with.
pub const MAGIC: [u8; 8] = *b"TWLINDX1";
/// Bytes before the first screen.
pub const HEAD: usize = 24;

/// What stands at the end of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The session.
    pub session: String,
    /// Bytes of the recording that is indexed.
    pub bytes: u64,
    /// SHA-256 of those bytes; none in an index that grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Lines of the recording.
    pub lines: u64,
    /// Time of its last event, microseconds.
    pub end: u64,
    /// Where to begin, in order.
    pub keyframes: Vec<Keyframe>,
    /// Programs, gaps and other markers.
    pub markers: Vec<Marker>,
    /// Markers that found no room here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub markers_left_out: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the form that serde asks for
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A place in the recording, behind a sealed block, and the screen there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyframe {
    /// Time of the last event before it, microseconds.
    pub at: u64,
    /// Output position there.
    pub position: u64,
    /// Lines before it.
    pub line: u64,
    /// Where its gzip member begins in the recording.
    pub offset: u64,
    /// Columns of the screen.
    pub cols: usize,
    /// Rows of the screen.
    pub rows: usize,
    /// Where the screen's gzip member begins in the index.
    pub screen: u64,
    /// Its length; 0 for an empty screen.
    pub length: u64,
}

/// A marker of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// When, microseconds.
    pub at: u64,
    /// Its text, cut.
    pub text: String,
}

/// The first bytes of an index.
#[must_use]
pub fn head(table: u64, length: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..16].copy_from_slice(&table.to_le_bytes());
    head[16..20].copy_from_slice(&length.to_le_bytes());
    head
}
