//! Every constant that bounds memory, time or a count in this program.
//!
//! # Invariants
//! - Each constant has its unit and the reason for its value.
//! - A bound that the API or the wire prescribes is taken from `towline-ssm` or `towline-wire` and
//!   is not repeated here.
//!
//! # Not here
//! - Names, exit codes and versions: they bound nothing.

use std::time::Duration;

use towline_ssm::message::{HEADER, MAX_PAYLOAD};
use towline_wire::frame::MAX_FRAME;
use towline_wire::message::Size;

// ---- Files

/// Largest configuration file that is read or extended, bytes. Real ones have a few kilobytes.
pub(crate) const MAX_CONFIG_FILE: u64 = 1024 * 1024;
/// Largest file of CA certificates, bytes. A full system bundle has 250 KB.
pub(crate) const MAX_CA_FILE: u64 = 1024 * 1024;
/// Largest policy or trust document, bytes: more than the API accepts.
pub(crate) const MAX_DOCUMENT: u64 = 256 * 1024;
/// Bytes of a file that are read or hashed at once.
pub(crate) const FILE_READ: usize = 64 * 1024;

// ---- Requests to the gateway

/// Largest answer, bytes. A page of 200 sessions with all texts has less than half of it.
pub(crate) const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Time for one answer. To open a session the gateway waits for a device that may be on a slow
/// mobile link.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for name resolution and the TCP connection together.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Head start of one address over the next. RFC 8305, section 8, recommends 250 ms.
pub(crate) const DIAL_HEAD_START: Duration = Duration::from_millis(250);
/// Most addresses of one name that are tried.
pub(crate) const MAX_DIAL_ADDRESSES: usize = 8;
/// Time for the TLS handshake, once the TCP connection is open.
pub(crate) const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read from the socket at once. The TLS library asks for 4 KiB at a time, so a
/// full record would cost five system calls.
pub(crate) const SOCKET_READ: usize = 64 * 1024;
/// Bytes that are taken from TLS at once: a few frames of the gateway.
pub(crate) const WEBSOCKET_READ: usize = 32 * 1024;
/// Largest message of a stream, bytes: Towline's or AWS's.
pub(crate) const MAX_MESSAGE: usize = HEADER + MAX_PAYLOAD;
const _: () = assert!(MAX_MESSAGE >= 2 * MAX_FRAME);
/// Bytes of messages that the socket has not taken yet.
pub(crate) const MAX_WEBSOCKET_QUEUED: usize = 4 * MAX_FRAME;
/// Most pages of one list: half a million devices.
pub(crate) const MAX_PAGES: usize = 10_000;
/// Items on one page of most lists: the maximum of the API.
pub(crate) const PAGE: i64 = 50;
/// Sessions on one page: the maximum of the API.
pub(crate) const SESSIONS_PAGE: usize = 200;

// ---- A session

/// Room for output that the local end has not taken yet, bytes per stream. With the round trip it
/// bounds the throughput: 256 KiB in 20 ms are 12 MiB/s.
pub(crate) const OUTPUT_WINDOW: u32 = 256 * 1024;
/// Room for input that the device has not taken yet, bytes.
pub(crate) const INPUT_RING: usize = 64 * 1024;
/// Bytes of one read of standard input: the content of one frame.
pub(crate) const INPUT_READ: usize = 16 * 1024;
/// Typed bytes that wait for a device that takes none, beside [`INPUT_RING`]. Further ones are
/// discarded, and the operator is told.
pub(crate) const MAX_TYPED_AHEAD: usize = 64 * 1024;
/// Time without progress after which a terminal is read although [`MAX_TYPED_AHEAD`] is reached:
/// before it a long paste waits for a slow device, after it the escapes matter more.
pub(crate) const TYPED_AHEAD_STUCK: Duration = Duration::from_secs(3);
/// Private modes of a terminal are tracked below this number, so that they can be undone. The
/// highest that terminals have is 9001.
pub(crate) const MAX_TRACKED_MODE: u16 = 10_000;
/// Bytes of one control sequence that are looked at: a hundred parameters, more than terminals
/// take.
pub(crate) const MAX_TRACKED_SEQUENCE: usize = 512;
/// What a device has kept of a session comes at once: output behind such a silence is new.
pub(crate) const OLD_OUTPUT_ENDS: Duration = Duration::from_millis(500);
/// Time for a terminal to take the sequences that undo its modes: a stopped one must not hold up
/// the end.
pub(crate) const UNDO_TIMEOUT: Duration = Duration::from_millis(300);
/// Time after which an operator is told that the gateway has not answered yet.
pub(crate) const CONNECT_NOTICE: Duration = Duration::from_secs(2);
/// How long the status line shows one of two texts that take turns.
pub(crate) const STATUS_TURN: Duration = Duration::from_secs(4);
/// Room in each direction of a tunnel or a copy, bytes: the most that a device can be set to and
/// that a gateway passes on. At a round trip of 100 ms this is 40 MB/s.
pub(crate) const TUNNEL_WINDOW: u32 = 4 * 1024 * 1024;
/// Room in each direction of a session in AWS's dialect, bytes.
pub(crate) const AWS_WINDOW: usize = 256 * 1024;
/// Room for input between the streams and the translator to AWS's dialect, bytes.
pub(crate) const AWS_INPUT_WINDOW: u32 = 64 * 1024;
/// Time for the answer to a close.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Proofs that a person is asked for before one further session of a forward: credentials that are
/// over give way to the access key, and then a policy may want a second factor.
pub(crate) const MAX_PROOFS: usize = 2;

/// Signals that are passed on to a command. The next one ends this program.
pub(crate) const MAX_PASSED_SIGNALS: u32 = 3;
/// Silence of the gateway after which it gets a ping: half of the shortest time-out of common NAT
/// devices.
pub(crate) const IDLE_BEFORE_PING: Duration = Duration::from_secs(30);
/// The same while something that was sent has no answer: an echo takes one round trip.
pub(crate) const UNANSWERED_BEFORE_PING: Duration = Duration::from_secs(4);
/// Time for the answer to a ping: a bad mobile link has round trips of seconds.
pub(crate) const PONG_TIMEOUT: Duration = Duration::from_secs(8);
/// Upper bound of the first pause between two tries. It doubles with each try.
pub(crate) const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause between two tries.
pub(crate) const MAX_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Duration of an outage after which this program gives up: the default grace time of devices and
/// gateways. The session has ended by then.
pub(crate) const GIVE_UP_AFTER: Duration = Duration::from_secs(10 * 60);
/// Silence after which the end of piped input is repeated for the first time. A prompt is complete
/// by then.
pub(crate) const FIRST_END_OF_INPUT_PAUSE: Duration = Duration::from_millis(200);
/// Longest such silence: the pause doubles, so that a program that answers each repetition gets
/// few of them.
pub(crate) const MAX_END_OF_INPUT_PAUSE: Duration = Duration::from_secs(30);

// ---- Forwards

/// Connections at once: the maximum of an agent for one tunnel.
pub(crate) const MAX_FORWARD_CONNECTIONS: usize = 128;
/// Bytes that a local program has not read, per connection: more than a device can have in flight,
/// so that only the device's setting bounds a download.
pub(crate) const MAX_FORWARD_WINDOW: u32 = 4 * 1024 * 1024;
/// The same for all connections together, bytes. Later ones get half of the rest.
pub(crate) const MAX_FORWARD_WINDOWS: u32 = 64 * 1024 * 1024;
/// Bytes kept for local programs where the tunnel has no windows: the official client's value.
pub(crate) const MAX_FORWARD_KEPT: usize = 4 * 1024 * 1024;
/// Bytes of frames that are made before the session takes them.
pub(crate) const MAX_FORWARD_QUEUED: usize = 128 * 1024;

// ---- Copies

/// Most entries of one remote folder: the list is held in memory.
pub(crate) const MAX_FOLDER_ENTRIES: usize = 1_000_000;
/// Time between two drawings of a progress line: five a second.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Characters of a file's name in the progress line.
pub(crate) const PROGRESS_NAME: usize = 40;

// ---- Answers and errors

/// Widest cell of a table, characters. ARNs are longer than what helps.
pub(crate) const MAX_CELL: usize = 72;
/// Most characters of a text from elsewhere in a line of this program.
pub(crate) const MAX_PRINTED_TEXT: usize = 500;
/// Most devices that an error names when several match.
pub(crate) const MAX_NAMED_MATCHES: usize = 8;
/// Most names that `ssh-config` says it has left out.
pub(crate) const MAX_LEFT_OUT: usize = 100;
/// Most devices that an error names when a command was sent to several.
pub(crate) const MAX_NAMED_INVOCATIONS: usize = 5;

// ---- `run`

/// Time between two requests for the state of a command.
pub(crate) const RUN_POLL: Duration = Duration::from_millis(700);
/// Time between two looks for a typed line: too short to be noticed.
pub(crate) const TYPED_LINE_POLL: Duration = Duration::from_millis(50);
/// Most devices of one group that the summary names.
pub(crate) const SUMMARY_DEVICES: usize = 5;
/// Most lines of output that the summary shows of one group.
pub(crate) const SUMMARY_LINES: usize = 40;

// ---- `policy test --batch`

/// Bytes of answers that are collected before they are written.
pub(crate) const BATCH_ANSWERS: usize = 16 * 1024;
/// Most reasons that are printed for lines that are not understood.
pub(crate) const BATCH_REASONS: u64 = 20;

// ---- `audit --follow`

/// Time between two requests for new events.
pub(crate) const FOLLOW_POLL: Duration = Duration::from_secs(2);
/// Seconds before the newest event that are looked at again: gateways of a cluster store their
/// events a little later than they happen, and their clocks differ a little.
pub(crate) const FOLLOW_AGAIN: i64 = 5;
/// Printed events that are remembered, so that none is printed twice: more than come in those
/// seconds.
pub(crate) const FOLLOW_REMEMBERED: usize = 50_000;
/// Most new events of one look, about 2 kB of memory each. More come after a long loss of the
/// connection alone, and the oldest of them are left out, in words.
pub(crate) const FOLLOW_MOST: usize = 20_000;

// ---- Terminals and recordings

/// Size that is assumed where there is no terminal.
pub(crate) const ASSUMED_SIZE: Size = Size { rows: 24, cols: 80 };
/// Size that AWS's agents are told where there is no terminal, as the official plugin does: some
/// agents wait for one.
pub(crate) const AWS_ASSUMED_SIZE: Size = Size { rows: 100, cols: 300 };
/// Most rows and columns that the API accepts.
pub(crate) const MAX_TERMINAL_SIDE: u16 = 10_000;
/// Most bytes of `TERM` that the API accepts.
pub(crate) const MAX_TERM: usize = 64;
/// Widest and highest picture of a terminal, cells: larger than real terminals. The largest file
/// is then about 30 MB, and only when each cell has a style of its own.
pub(crate) const MAX_PICTURE_COLS: u16 = 500;
/// See [`MAX_PICTURE_COLS`].
pub(crate) const MAX_PICTURE_ROWS: u16 = 200;
/// Largest number in a control sequence that is drawn: more than the cells of a row or a column.
/// It bounds the work that a few bytes of a recording can cause.
pub(crate) const MAX_SEQUENCE_COUNT: u64 = 1000;

/// Tries to watch a session again after the websocket was lost.
pub(crate) const WATCH_TRIES: u32 = 60;

/// Pause before each of them.
pub(crate) const WATCH_TRY_EVERY: Duration = Duration::from_secs(1);
