//! Every capacity of the gateway's control plane, its reason and what it costs. One page to edit
//! for a smaller or larger host; nothing in this crate is allowed to grow without a line here.
//!
//! # Not here
//! - Limits of the agents' links, sessions and data channels: they stand beside those modules.
//! - Limits of the AWS interface (lengths of names, page sizes): they belong to `towline_ssm`, with
//!   their source.

use std::time::Duration;

/// Largest request body, bytes. AWS's own largest request of this service (a document of 64 KiB,
/// escaped) fits many times.
pub const MAX_BODY: usize = 1024 * 1024;

/// Largest request head (request line and headers), bytes. A SigV4 request with a session token
/// stays below 4 KiB.
pub const MAX_HEAD: usize = 16 * 1024;

/// TLS connections open at once, agents and HTTP together. 8192 links of 16 KiB are 128 MiB; also
/// keeps us below the usual 16384 soft limit of file descriptors raised by service managers.
pub const MAX_CONNECTIONS: usize = 8192;

/// Connections that have not finished their TLS handshake. Small: a stranger pays nothing to be
/// here.
pub const MAX_HANDSHAKES: usize = 512;

/// Time for the whole TLS handshake, `ClientHello` included. A cellular link at 3 s round trip
/// still makes it.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Time for a whole request head to arrive; a slow-loris holds its place no longer than this.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Time for a whole request body to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server waits for open HTTP requests when it is told to stop.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Failed authentications or enrollments a source may have in one [`FAILURE_WINDOW`] before it is
/// turned away unread.
pub const MAX_FAILURES: u32 = 20;

/// The window that [`MAX_FAILURES`] counts in.
pub const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// Sources remembered by one failure table. About 64 bytes each; when full, the entry nearest its
/// end makes room.
pub const MAX_SOURCES: usize = 4096;

/// Signatures remembered, so that a captured mutating request cannot be sent a second time within
/// the clock skew. 32 bytes of digest and a time each: 32768 are about 2 MiB and allow 50 mutating
/// requests a second without eviction.
pub const MAX_SEEN_SIGNATURES: usize = 32 * 1024;

/// Audit lines waiting for their transaction. A full queue makes requests wait (never lose a line).
pub const AUDIT_QUEUE: usize = 256;

/// Audit lines in one transaction.
pub const AUDIT_BATCH: usize = 128;

/// Rows kept in the audit table. About 600 bytes each: 1,000,000 are 600 MB at the most.
pub const AUDIT_MAX_ROWS: i64 = 1_000_000;

/// Age of the oldest audit row, days. AWS keeps its event history for 90 days; so do we unless rows
/// run out first.
pub const AUDIT_MAX_DAYS: i64 = 90;

/// Rows kept of the command log. About 250 bytes each with their indexes: 4,000,000 are 1 GB at the
/// most.
pub const COMMAND_LOG_MAX_ROWS: i64 = 4_000_000;

/// Scripts that run at once on all devices together. Each may have 128 KiB of output on its way: 64
/// MiB at the worst.
pub const MAX_RUNNING_SCRIPTS: usize = 512;

/// Most output of one step on one device that is kept, bytes; a script that prints more is ended.
pub const MAX_SCRIPT_OUTPUT: u64 = 64 * 1024 * 1024;

/// Rows written to the audit table between two prunings.
pub const AUDIT_PRUNE_EVERY: u32 = 1000;

/// Longest audit line, bytes; longer values are cut with a mark, so that one request cannot fill a
/// disk.
pub const AUDIT_LINE: usize = 4096;

/// How long a decision may be waited for.
pub const ACCESS_DECISION: Duration = Duration::from_secs(24 * 3600);

/// Longest session token, bytes: a session policy of 2048 characters and fifty tags, sealed and in
/// base64, stay below. A request's head has [`MAX_HEAD`].
pub const MAX_SESSION_TOKEN: usize = 12 * 1024;

/// Times between two writes of an access key's last use: a busy key costs one write a minute, not
/// one a request.
pub const LAST_USED_EVERY: Duration = Duration::from_secs(60);

/// Requests the monitoring listener serves at once.
pub const MAX_MONITOR_CONNECTIONS: usize = 16;

/// Viewers of one session. Each may have [`VIEWER_BYTES`] waiting: 2 MiB a session at the most.
pub const MAX_VIEWERS: usize = 8;

/// Output that may wait for one viewer, bytes: some screens of text; a viewer that is slower misses
/// bytes and is told how many.
pub const VIEWER_BYTES: usize = 256 * 1024;

/// Pieces of output that may wait for one viewer: bounds what tiny pieces cost beside their bytes.
pub const VIEWER_ITEMS: usize = 1024;

// A stranger in the handshake must not be able to take all places.
const _: () = assert!(MAX_HANDSHAKES < MAX_CONNECTIONS);
const _: () = assert!(AUDIT_BATCH <= AUDIT_QUEUE);
