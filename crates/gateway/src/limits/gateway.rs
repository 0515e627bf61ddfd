//! Limits of the gateway but for those of data channels, of viewers, and of devices with
//! amazon-ssm-agent.
//!
//! # Not here
//! - Limits of the AWS interface (lengths of names): they belong to `towline_ssm`, with their
//!   source. Page sizes stand beside their operations, as AWS's model has them.
//! - Forms of files and messages: they cannot be edited.
//! - Limits of the store and the archive: `towline_store::limits`, `towline_archive::limits`.

use std::time::Duration;

/// Largest request body, bytes. AWS's own largest request of this service (a document of 64 KiB,
/// escaped) fits many times.
pub const MAX_BODY: usize = 1024 * 1024;

/// Bytes of a body that count for nothing: what nearly all requests stay below.
pub const FREE_BODY: usize = 16 * 1024;

/// Bytes of a refused request's body that are taken in and dropped before the answer.
pub const DISCARDED_BODY: usize = 4 * MAX_BODY;

/// How long that may take.
pub const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of bodies of strangers in memory at once, beyond [`FREE_BODY`] of each.
pub const STRANGER_BODIES: usize = 32 * 1024 * 1024;

/// Of these, those of one source.
pub const STRANGER_BODIES_OF_SOURCE: usize = 4 * 1024 * 1024;

/// Largest request head (request line and headers), bytes. A SigV4 request with a session token
/// stays below 4 KiB.
pub const MAX_HEAD: usize = 16 * 1024;

/// Memory that is reckoned with for one connection, bytes: a device's link, and its place in the
/// kernel. TLS connections open at once, agents and HTTP together, may take half of the memory.
pub const CONNECTION_BYTES: u64 = 16 * 1024;

/// Most and fewest connections that the setting `max_connections` may name.
pub const MOST_CONNECTIONS: usize = 1_000_000;
/// See [`MOST_CONNECTIONS`].
pub const FEWEST_CONNECTIONS: usize = 64;

/// Open files that the process asks the system for, at most: one for each of [`MOST_CONNECTIONS`],
/// and some.
pub const MOST_FILES: u64 = 1 << 20;

/// Files besides connections: at least so many, then a sixteenth of all, and at most
/// [`MOST_OTHER_FILES`]. Recordings under way, outputs of commands, the store.
pub const FEWEST_OTHER_FILES: u64 = 128;
/// See [`FEWEST_OTHER_FILES`].
pub const MOST_OTHER_FILES: u64 = 16 * 1024;

/// Connections over which nobody has authenticated, at most; where there is room for fewer than
/// 8,192 connections, three quarters of them.
pub const MAX_STRANGERS: usize = 6144;

/// Connections that have not finished their TLS handshake. Small: a stranger pays nothing to be
/// here.
pub const MAX_HANDSHAKES: usize = 512;

/// Of these, those of one source: a network of devices behind one address still shakes 64 hands at
/// once, and queues.
pub const MAX_HANDSHAKES_OF_SOURCE: usize = 64;

/// Connections of one source that say nothing, or over which nobody has authenticated. One more,
/// and the oldest of them is hung up on.
pub const MAX_STRANGERS_OF_SOURCE: usize = 256;

/// How long a connection may say nothing before it may be displaced: clients send their first
/// message together with the last one of TCP's handshake.
pub const SILENCE: Duration = Duration::from_millis(500);

/// How long a handshake may wait for its slot.
pub const SLOT_WAIT: Duration = Duration::from_secs(30);

/// How long a handshake keeps its slot while others wait for one. Two round trips of 2 s make it.
pub const SLOT_PATIENCE: Duration = Duration::from_secs(5);

/// How often a handshake that lasts longer looks whether others wait.
pub const SLOT_TICK: Duration = Duration::from_secs(1);

/// Time for a balancer's header of the PROXY protocol.
pub const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Wrong codes that one activation may see in one [`FAILURE_WINDOW`], from all addresses together.
/// More than one address may have, so that one guesser does not lock an activation.
pub const MAX_GUESSES: u32 = 100;

/// Longest id of an activation whose wrong codes are counted; ours have 36 characters.
pub const MAX_ACTIVATION_ID: usize = 64;

/// Lines about failures of strangers that one part of the gateway logs in one [`FAILURE_WINDOW`].
pub const FAILURE_LINES: u32 = 30;

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

/// Audit lines kept for a store that takes none: 4 KiB each at the most, 600 bytes in practice.
pub const AUDIT_OWED: usize = 4096;

/// How long a store that did not take audit lines is left alone.
pub const AUDIT_AGAIN: Duration = Duration::from_secs(1);

/// Rows kept in the audit table of what was done. About 600 bytes each: with those below 660 MB at
/// the most. Only exported rows are removed, and only for rows of their own kind.
pub const AUDIT_MAX_CHANGES: i64 = 500_000;

/// Rows kept of what was read and what was refused.
pub const AUDIT_MAX_READS: i64 = 300_000;

/// Rows kept of what devices do by themselves.
pub const AUDIT_MAX_DEVICE_ROWS: i64 = 200_000;

/// Rows kept of those who proved nothing.
pub const AUDIT_MAX_STRANGER_ROWS: i64 = 100_000;

/// Rows that may wait for their export, because the disk or the sink takes nothing for weeks.
/// Beyond, the oldest go, and a signed record in the node's chain says which. 2.4 GB.
pub const AUDIT_MAX_WAITING_ROWS: i64 = 4_000_000;

/// The window in which refusals are counted for one source.
pub const FOLD_WINDOW: Duration = Duration::from_secs(60);

/// How often windows that are over are looked for.
pub const FOLD_TICK: Duration = Duration::from_secs(5);

/// Refusals of one source of strangers that have a row of their own in a window, each for another
/// reason.
pub const STRANGER_ROWS: u32 = 8;

/// Sources of strangers with rows of their own in a window; the refusals of all others are one row.
/// Together with [`STRANGER_ROWS`] 577 rows a minute at the most.
pub const STRANGER_SOURCES: usize = 64;

/// Refusals of one principal that have a row of their own in a window.
pub const PRINCIPAL_ROWS: u32 = 60;

/// Comings, goings and refusals of one device that have a row of their own in a window.
pub const DEVICE_ROWS: u32 = 30;

/// Principals whose refusals are counted at once.
pub const FOLDED_NAMES: usize = 4096;

/// Devices whose comings and refusals are counted at once: all of them may return in one
/// [`FOLD_WINDOW`], and each coming has a row. Some 250 bytes each, for that minute.
pub const FOLDED_DEVICES: usize = 100_000;

/// Kinds of refusals that one count tells apart; all others are one more.
pub const FOLDED_KINDS: usize = 8;

/// Age of the oldest audit row, days. AWS keeps its event history for 90 days; so do we unless rows
/// run out first.
pub const AUDIT_MAX_DAYS: i64 = 90;

/// Rows kept of the command log. About 280 bytes each with their indexes: 4,000,000 are 1.1 GB at
/// the most. Only exported rows are removed, of the device with the most rows first.
pub const COMMAND_LOG_MAX_ROWS: i64 = 4_000_000;

/// Rows of the command log while its export does not work. Beyond, rows of the device with the most
/// rows go, and a signed record in the node's chain says so.
pub const COMMAND_LOG_MAX_WAITING_ROWS: i64 = 8_000_000;

/// Scripts that run at once on all devices together. Each may have 128 KiB of output on its way: 64
/// MiB at the worst.
pub const MAX_RUNNING_SCRIPTS: usize = 512;

/// Most output of one step on one device that is kept, bytes; a script that prints more is ended.
pub const MAX_SCRIPT_OUTPUT: u64 = 64 * 1024 * 1024;

/// Rows and signatures written between two prunings of expired signatures.
pub const AUDIT_PRUNE_EVERY: u32 = 1000;

/// Longest audit line, bytes; longer values are cut with a mark, so that one request cannot fill a
/// disk.
pub const AUDIT_LINE: usize = 4096;

/// How long temporary credentials get those of granted access at the least, while the access holds:
/// as at AWS.
pub const ACCESS_CREDENTIALS: Duration = Duration::from_secs(3600);

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

// ---- Exports

/// Rows of one file: at most some 6 MiB before compression.
pub const COMMANDS_IN_FILE: i64 = 5000;

/// Files made in one go.
pub const COMMAND_FILES_AT_ONCE: usize = 64;

/// How often a file is made while something happens. CloudTrail delivers about every five minutes.
pub const TRAIL_EVERY: Duration = Duration::from_secs(300);

/// Between two tries to store records of the command log while the store takes no writes.
pub const STORE_AGAIN: Duration = Duration::from_secs(1);

/// Streams of events of all users.
pub const MAX_EVENT_STREAMS: usize = 2000;
/// Streams of events of one user: one a browser.
pub const MAX_EVENT_STREAMS_OF_USER: usize = 8;

/// Events in one file. 4 KiB each at the most: 8 MiB before compression.
pub const EVENTS_IN_FILE: i64 = 2000;

/// Files made in one go.
pub const TRAIL_FILES_AT_ONCE: usize = 64;

// ---- Configuration

/// Largest configuration, certificate or key file, bytes: a chain of ten certificates is 20 KiB.
pub const MAX_CONFIG_FILE: u64 = 256 * 1024;

// ---- API

/// Principals whose parsed policies are kept. A policy of 6 KiB takes some 20 KiB parsed.
pub const MAX_CACHED_POLICIES: usize = 512;

/// Access keys whose last use is remembered, so that a busy one costs one write a minute.
pub const MAX_REMEMBERED_KEYS: usize = 4096;

/// Principals of one kind that ListDeviceAccess looks at.
pub const MAX_EXPLAINED_PRINCIPALS: i64 = 500;

/// Facts of one line; more than any operation notes.
pub const MAX_AUDIT_FACTS: usize = 16;

/// Rows read at once while looking for devices of a ping status, which the store does not know.
pub const DEVICES_PER_SCAN: i64 = 500;

/// Longest client name that is kept, characters.
pub const MAX_USER_AGENT: usize = 256;

/// Longest token that is read, characters. Ours have about 200.
pub const MAX_PAGE_TOKEN: usize = 1024;

/// Devices whose tags are read at once when policy judges the targets of a command.
pub const TARGETS_AT_ONCE: usize = 1000;

/// Devices whose resources stand in the audit line; it holds no more.
pub const MAX_NOTED_TARGETS: usize = 8;

/// Bytes of a recording in one answer: base64 makes 683 KiB of it, below what clients take.
pub const RECORDING_PIECE: u64 = 512 * 1024;

/// Bytes of a command's output in one answer, as of a recording.
pub const OUTPUT_PIECE: u64 = RECORDING_PIECE;

/// Records of the command log that one search looks at.
pub const MAX_SEARCHED_COMMANDS: usize = 20_000;

/// Records of the command log that are read from the store at once: at most 4 KiB each.
pub const COMMANDS_PER_READ: i64 = 500;

/// Lines that one search looks at.
pub const MAX_SEARCHED_EVENTS: usize = 20_000;

/// Searches at once; one person has one of them, more wait. As many as the store has connections
/// for them.
pub const MAX_SEARCHES: usize = towline_store::limits::SEARCH_CONNECTIONS as usize;

/// How long one search may look; then it answers with what it has and a token to go on.
pub const SEARCH_TIME: Duration = Duration::from_millis(500);

/// How long a search waits for its turn.
pub const SEARCH_WAIT: Duration = Duration::from_secs(10);

/// Lines read from the store at once.
pub const EVENTS_PER_READ: i64 = 500;

/// How long after its first arrival the same signature is still taken.
pub const REPLAY_GRACE: Duration = Duration::from_secs(2);

/// Longest single text in a line, characters.
pub const MAX_AUDIT_TEXT: usize = 512;

/// Longest cookie of a sign-in that is opened, characters. Ours have 86.
pub const MAX_SIGN_IN_COOKIE: usize = 256;

/// Times between two writes of a sign-in's last use.
pub const SIGN_IN_USED_EVERY: Duration = Duration::from_secs(60);

/// Origins of pages that may be configured.
pub const MAX_ORIGINS: usize = 16;

// ---- Listener

/// Connections that wait in the kernel to be accepted.
pub const ACCEPT_BACKLOG: i32 = 1024;

// ---- Run Command

/// Output that may be on its way from one device, bytes of each stream.
pub const SCRIPT_WINDOW: u32 = 64 * 1024;

/// Output that is written at once.
pub const SCRIPT_OUTPUT_BATCH: usize = 64 * 1024;

/// How long to wait when the disk takes nothing.
pub const DISK_RETRY: Duration = Duration::from_secs(1);

/// Starts of an agent that may have begun one step, at most. Each more needs a crash between an
/// order and its answer; who crashes so often is not given it again.
pub const MAX_STEP_DELIVERIES: usize = 4;

/// Bytes of a step's output that are kept for other nodes at once: half of the device's window.
pub const KEPT_PIECE: u64 = 32 * 1024;

/// How often a node looks for what others have changed of commands, and looks while there are none.
pub const COMMAND_LOOK: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// What a device may take for the end of a script whose time is over.
pub const COMMAND_SLACK: Duration = Duration::from_secs(300);

/// Events that wait for the scheduler; who has more waits.
pub const COMMAND_EVENTS: usize = 1024;

/// Events of one transaction.
pub const COMMAND_EVENT_BATCH: usize = 128;

/// When a device that had no room is asked again.
pub const BUSY_DEVICE_RETRY: Duration = Duration::from_secs(5);

/// When the store is tried again after a failure.
pub const STORE_RETRY: Duration = Duration::from_secs(1);

/// The longest sleep between two looks at deadlines: clocks jump.
pub const SCHEDULER_TICK: Duration = Duration::from_secs(60);

// ---- Sessions

/// Sessions alive at once in one gateway: each costs a few KiB, and a window of output while its
/// client is slow.
pub const MAX_SESSIONS: usize = 4096;

/// How long a device may take to open a session. A cellular link at 3 s round trip and a slow disk
/// still make it.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Most bytes that may be on their way to one client, whatever credit it gives. As much as an agent
/// can be set to keep for one tunnel or copy, so that the agent's setting alone bounds their
/// throughput.
pub const MAX_WINDOW: u64 = 4 * 1024 * 1024;

/// Most messages other than data that may wait. They are states that replace each other in
/// practice.
pub const MAX_CLIENT_MESSAGES: usize = 256;

/// How long a token waits for its data channel. A client opens it at once; a slow link has its
/// time-outs within this.
pub const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// How long a session waits for its first client: the life of a token and a little.
pub const FIRST_CLIENT_WAIT: Duration = Duration::from_secs(65);

/// Devices that are told to reconnect in the same second after a restart, while no device's coming
/// was measured: each costs a TLS handshake (some 1 ms of a core).
pub const RECONNECTS_PER_SECOND: u32 = 200;

/// Fewest and most that follow from what was measured: a clock may say nonsense.
pub const RECONNECTS_MEASURED: std::ops::RangeInclusive<u32> = 20..=5000;

/// Latest second at which a device is told to reconnect: what agents wait at most.
pub const LATEST_RECONNECT: u32 = 300;

// ---- Devices

/// Longest command in a marker, characters.
pub const MAX_COMMAND_MARKER: usize = 200;

/// Bytes of records that wait for the store, of all links together.
pub const INTAKE_BYTES: usize = 16 * 1024 * 1024;

/// What one link may have waiting: what an agent may send ahead, and a batch that was on its way.
pub const INTAKE_BYTES_PER_LINK: usize =
    towline_wire::record::IN_FLIGHT + 2 * towline_wire::record::BATCH;

/// Batches in one transaction.
pub const INTAKE_BATCHES: usize = 64;

/// How long a device that was removed may take to hear that its sessions are over, before its link
/// is closed.
pub const LAST_WORDS: Duration = Duration::from_secs(3);

/// Signs of life of devices that wait for the store; who has more waits.
pub const SIGNS_QUEUE: usize = 1024;

/// Signs of life in one transaction.
pub const SIGNS_BATCH: usize = 128;

/// How often an order is sent while the device has no place for the session.
pub const ROUNDS_FOR_A_PLACE: usize = 4;

/// How long a tunnel whose connection is over waits for a client that was lost. Its bytes have no
/// other reader: `ssh` and `scp` are gone with their client.
pub const ENDED_TUNNEL_WAIT: Duration = Duration::from_secs(15);

/// Signed times that an agent may ask for at once; one more each second. An agent asks once an
/// hour, and when a grant is out of its time.
pub const TIMES_AT_ONCE: u32 = 32;

/// Life of a grant, ms: it is used at once or never.
pub const GRANT_LIFE_MS: u64 = 60_000;

/// Bytes taken from the outbox at once. Small enough that a keystroke which comes meanwhile waits
/// for little.
pub const LINK_BATCH: usize = 2 * towline_wire::frame::MAX_FRAME;

/// Largest TLS record, bytes: its head, 16 KiB, and what a cipher may add (RFC 8446, section 5.2).
/// So much is held of what a device has begun to send, and twice as much while it is decrypted.
pub const LINK_RECORD: usize = 5 + 16 * 1024 + 256;

/// Bytes that TLS 1.3 adds to the plain ones of a record: head, type, and the cipher's tag.
pub const LINK_RECORD_OVERHEAD: usize = 5 + 1 + 16;

/// What an agent announces before its first ping, s (the wire's first interval).
pub const FIRST_PING: u32 = 60;

/// Sessions that an agent may name as held. More than any agent's limit; a bound for liars.
pub const MAX_HELD_SESSIONS: usize = 1024;

/// Longest interval between an agent's pings that is accepted, s. Matches the longest that agents
/// try on their own.
pub const LONGEST_PING: u32 = 1500;

/// How long the handshake may take. A cellular link at 3 s round trip still makes it.
pub const LINK_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// What a device that must wait for a person is told to wait, s: soon enough to be there when it is
/// approved.
pub const RETRY_PENDING: u32 = 60;

/// What a device that is not welcome is told to wait, s. It may come back: a person can change
/// that.
pub const RETRY_REFUSED: u32 = 600;

/// What a throttled source is told to wait, s: the length of the window it is counted in.
pub const RETRY_THROTTLED: u32 = 60;

/// Time for the last words to an agent that is hung up on.
pub const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Control bytes that may wait, bytes. Some hundred messages; more means that the link does not
/// drain.
pub const MAX_CONTROL_BYTES: usize = 64 * 1024;

/// Data bytes that may wait for one link. An agent gives credit of at most 8 MiB to all of its
/// tunnels and copies, and of 64 KiB to each of at most 64 other sessions.
pub const MAX_DATA_BYTES: usize = 13 * 1024 * 1024;

/// How long a device may take to make a key: seconds of flash, and a slow link twice.
pub const KEY_ROTATION_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a new session waits for a device that has just come to name the sessions that it holds.
pub const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a link that is already there may take to show that it is alive, when another process
/// claims its key.
pub const CLONE_PROBE: Duration = Duration::from_secs(5);

/// Longest name of a device, characters: as AWS has it for `DefaultInstanceName`.
pub const MAX_DEVICE_NAME: usize = 256;

/// Longest sentence of a device about a session, characters.
pub const MAX_DEVICE_SENTENCE: usize = 1024;

/// Longest text that a device reports about itself, characters.
pub const MAX_DEVICE_REPORT: usize = 256;

// Strangers in the handshake must not be able to take all places that strangers may have.
const _: () = assert!(MAX_HANDSHAKES < MAX_STRANGERS);
const _: () = assert!(MAX_HANDSHAKES_OF_SOURCE < MAX_HANDSHAKES);
const _: () = assert!(AUDIT_BATCH <= AUDIT_QUEUE);

/// How long a request to a configured address may take, from the name to the last byte.
pub const OUTBOUND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one mail may take, from the server's name to its last answer: servers of mail look up
/// who sends, and some wait on purpose.
pub const MAIL_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of one reply of a server of mail.
pub const MAX_MAIL_REPLY: usize = 16 * 1024;

/// Pause before a notification is sent again; it doubles with each failure.
pub const NOTIFICATION_PAUSE: Duration = Duration::from_secs(5);

/// Longest pause of that kind.
pub const NOTIFICATION_PAUSE_MOST: Duration = Duration::from_secs(600);

/// How long a notification is sent again before it is given up.
pub const NOTIFICATION_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Attempts after which a notification is given up at the earliest. A receiver that is away gets
/// more of them in [`NOTIFICATION_LIFE`].
pub const NOTIFICATION_ATTEMPTS: i64 = 10;

/// Notifications that one receiver gets before the others are looked at again.
pub const NOTIFICATIONS_AT_ONCE: usize = 100;

/// How long a stop waits for deliveries that are under way: one by HTTP is over then.
pub const NOTIFICATION_STOP: Duration = OUTBOUND_TIMEOUT;

/// Bytes of a receiver's answer that are read.
pub const MAX_NOTIFICATION_ANSWER: usize = 64 * 1024;

/// How long one address may take to accept.
pub const OUTBOUND_DIAL: Duration = Duration::from_secs(3);

/// Addresses of one name that are looked at.
pub const MAX_OUTBOUND_ADDRESSES: usize = 8;

/// Claims of a token that policies can ask about; also the longest name of one, bytes.
pub const MAX_CLAIM_KEYS: usize = 100;

/// Bytes of one claim, with all its values, that policies can ask about.
pub const MAX_CLAIM: usize = 32 * 1024;

/// Longest value of a tag that comes from a claim, characters: as for all tags.
pub const MAX_TAG_VALUE: usize = 256;
