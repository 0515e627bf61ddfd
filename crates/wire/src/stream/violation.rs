//! What one end can do against the rules of a stream.

/// The other side broke the rules of the stream. The session cannot be trusted any more: end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It sent beyond the credit it had.
    #[error("bytes up to {end} were sent, but credit was given up to {limit} only")]
    BeyondCredit {
        /// Where the bytes ended.
        end: u64,
        /// Where the credit ended.
        limit: u64,
    },
    /// It acknowledged what was never sent.
    #[error("{acked} bytes were acknowledged, but only {sent} were sent")]
    AckedUnsent {
        /// What it claims.
        acked: u64,
        /// What is true.
        sent: u64,
    },
    /// It wants to go back to bytes that it has acknowledged already.
    #[error(
        "bytes from {wanted} on were asked for, but they were acknowledged up to {base} and are \
         gone"
    )]
    Forgotten {
        /// Where it wants to go on.
        wanted: u64,
        /// First byte that is still there.
        base: u64,
    },
    /// It named two different lengths, or sent beyond the length it named.
    #[error("the stream was said to end at {said}, then at {now}")]
    LengthChanged {
        /// First.
        said: u64,
        /// Then.
        now: u64,
    },
}
