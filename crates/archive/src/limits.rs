//! Every constant of the archive that bounds memory, time or count, with its unit, its reason and
//! what it costs.
//!
//! The largest: [`ALL_TAPES`] of memory for all sessions, [`PART`] twice for each upload. What may
//! wait on the disk is a setting (`max_staged_mib`).
//!
//! # Not here
//! - Limits of the recording's format (lines, blocks): `towline_evidence`.

use std::time::Duration;

use towline_evidence::cast::MAX_LINE;

// ---- tapes: memory between a session and the recorder's thread

/// Output, bytes a lane, that an agent may send before the recorder has taken it. A session's
/// output is recorded without gaps as long as its tape has room for this much of both lanes.
pub const RECORDED_WINDOW: u64 = 1024 * 1024;
/// Bytes in one tape: the part above which the session slows down, and the windows of both lanes
/// that may still arrive.
pub const TAPE: usize = 3 * 1024 * 1024;
/// Bytes in all tapes together: 64 MiB are the most that recording costs in memory, however many
/// sessions print at once.
pub const ALL_TAPES: usize = 64 * 1024 * 1024;
/// Bytes in all tapes above which sessions with more than [`TAPE_URGENT`] get no further credit:
/// the rest is room for what 48 sessions may still send within their windows.
pub const ALL_TAPES_BEHIND: usize = ALL_TAPES / 4;
/// Bytes in a tape above which its session gets no further credit.
pub const TAPE_BEHIND: usize = TAPE / 3;
/// Pieces in one tape. Bounds the overhead of tiny pieces: 8192 of them cost about 700 KiB beside
/// their bytes.
pub const TAPE_PIECES: usize = 8192;
/// Pieces in a tape above which no input is added: keystrokes that arrive one by one must not crowd
/// out the output.
pub const TAPE_INPUT_PIECES: usize = TAPE_PIECES / 2;
/// Bytes in a tape that wake the recorder's thread. Less waits for the next tick.
pub const TAPE_URGENT: usize = 64 * 1024;
/// Bytes of output that are joined into one event.
pub const JOINED_OUTPUT: usize = 16 * 1024;
/// Microseconds within which output is joined into one event: nobody sees the difference.
pub const SAME_MOMENT: u64 = 10_000;

const _: () =
    assert!(TAPE_URGENT < TAPE_BEHIND, "the thread is called before a session slows down");
const _: () = assert!(TAPE_BEHIND as u64 + 2 * RECORDED_WINDOW <= TAPE as u64);

// ---- the recorder's thread

/// How long recorded output may be in memory only. A gateway that is killed loses this much; the
/// loss shows as a gap that names this reason.
pub const TICK: Duration = Duration::from_secs(1);
/// How often the thread looks at free disk space and at what waits for the sink.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A principal's recordings may take this part of what may wait for delivery.
pub const PRINCIPAL_SHARE: u64 = 2;
/// Finished recordings that wait for delivery and are counted for their principals. More count for
/// nobody, about 200 bytes each.
pub const COUNTED_WAITING: usize = 16_384;
/// Nice value of the thread. It has a tape's length of time where the threads that carry bytes have
/// none; with it bulk output of one session is a tenth faster on two processors. A session whose
/// tape is full waits, so a busy machine loses nothing of a recording.
pub const NICENESS: i32 = 5;
/// Events about recordings that may wait for their listener. The rest is sent at the next tick.
pub const EVENTS: usize = 256;
/// Bytes of lines that are written as a block without waiting for the tick.
pub const BLOCK_BYTES: usize = 128 * 1024;
/// Bytes of one unpacked gzip member of a recording: a block of the longest lines. A larger member
/// was not written by this program.
pub const MAX_MEMBER: u64 = (towline_evidence::seal::BLOCK as u64 + 2) * MAX_LINE as u64;
/// Bytes of compressed output that the compressor keeps for the next block.
pub const KEPT_MEMBER: usize = 256 * 1024;
/// Bytes of the reserve file: a last block of 64 KiB and some lines for each of sixty recordings
/// that end on a full disk.
pub const RESERVE: u64 = 4 * 1024 * 1024;
/// Largest key file, bytes.
pub const MAX_KEY_FILE: u64 = 4096;

/// Bytes that are read of a recording to learn whose it is. Its header is some hundred bytes, and
/// less than 4 KiB with the longest reason.
pub const BEGINNING: u64 = 64 * 1024;

// ---- indexes of recordings

/// Bytes of a recording's lines from which on it gets an index. A shorter one is drawn from its
/// beginning in less time than a person notices.
pub const INDEXED_FROM: u64 = 1024 * 1024;
/// Bytes of lines between two keyframes: what a player draws, at the most, to show a moment. About
/// 20 ms in a browser.
pub const KEYFRAME_BYTES: u64 = 256 * 1024;
/// Bytes of lines after which a keyframe is made because of time or of a new size.
pub const KEYFRAME_LEAST: u64 = 64 * 1024;
/// Microseconds after which a keyframe is made for the sake of time.
pub const KEYFRAME_TIME: u64 = 10_000_000;
/// Bytes of a screen that is kept as a keyframe. A larger one, of a program that colours each of
/// 100,000 cells anew, is left out.
pub const MAX_KEYFRAME: usize = 1024 * 1024;
/// Keyframes of one index: 16 GiB of lines, and 8 MB of table. What is behind has none.
pub const MAX_KEYFRAMES: usize = 65_536;
/// Markers of one index, and the bytes of each: 1 MB of table.
pub const MAX_INDEX_MARKERS: usize = 4096;
/// Bytes of a marker in an index.
pub const INDEX_MARKER: usize = 256;
/// Columns and rows of the terminal that draws keyframes.
pub const INDEX_COLS: usize = 500;
/// As above.
pub const INDEX_ROWS: usize = 200;
/// Time for one index, on a thread that gives way to all others. A recording that takes longer is
/// made to take long, and gets none.
pub const INDEX_TIME: Duration = Duration::from_secs(600);
/// Nice value of that thread: behind the recorder's.
pub const INDEX_NICENESS: i32 = 15;
/// Recordings that wait for their index, about 80 bytes each. `towline-gateway index-recordings`
/// finds the rest.
pub const INDEX_WAITING: usize = 65_536;
/// Packed bytes from which on a recording without an index gets one while somebody reads it. A
/// shorter one unpacks to what a page holds.
pub const GROWING_FROM: u64 = 16 * 1024;
/// Indexes that are kept for recordings without one, in memory a screen and a table each: 1 MB as a
/// rule, 10 MB for 16 GiB of lines; and their screens on the disk.
pub const GROWING_KEPT: usize = 8;
/// Threads that draw such recordings.
pub const GROWING_AT_ONCE: usize = 2;
/// How long such an index is kept after somebody asked for it.
pub const GROWING_FOR: Duration = Duration::from_secs(300);
/// Least time from the end of one drawing to the next.
pub const GROWING_EVERY: Duration = Duration::from_secs(1);
/// Bytes of one unpacked block of such a recording, in memory: a whole tape of control characters,
/// each of which takes six.
pub const GROWING_MEMBER: u64 = 6 * TAPE as u64 + 2 * MAX_LINE as u64;
/// Verifications of recordings at once: each takes a processor for as long as it lasts, behind all
/// other threads.
pub const VERIFICATIONS: usize = 2;
/// How long the outcome of a verification is kept.
pub const VERIFIED_FOR: Duration = Duration::from_secs(60);
/// Bytes of a recording that are read at once from the sink, to index or to verify it.
pub const RECORDED_READ: u64 = 1024 * 1024;

// ---- the node's chain

/// Records in a segment before it is signed, whatever the clock says. 4096 lines of 400 bytes are
/// 1.6 MB.
pub const SEGMENT_RECORDS: u64 = 4096;
/// Records that are written and synced at once.
pub const CHAIN_BATCH: usize = 128;
/// Bytes of a segment that is read back.
pub const MAX_SEGMENT: u64 =
    (SEGMENT_RECORDS + CHAIN_BATCH as u64 + 2) * towline_evidence::node::MAX_LINE as u64;

// ---- delivery

/// How often a folder of waiting files is looked at. Session Manager looks once a second, too.
pub const LOOK_FOR_FILES_EVERY: Duration = Duration::from_secs(1);
/// How often the outbox is looked at when nobody announced a file.
pub const OUTBOX_IDLE: Duration = Duration::from_secs(30);
/// Longest wait after failures.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Files of the outbox in one round, oldest first. The rest waits for the next round.
pub const OUTBOX_ROUND: usize = 512;
/// Files of the outbox whose names are read for one round, about 200 bytes each.
pub const OUTBOX_LISTED: usize = 16 * OUTBOX_ROUND;
/// How often a file is put into the outbox while its folder, empty, is removed at the same moment.
pub const OUTBOX_PUTS: u32 = 100;
/// Failures of one file, each while another file was delivered, until it goes to quarantine.
pub const OUTBOX_PATIENCE: u32 = 5;
/// Bytes of one part of a multipart upload; an upload holds two in memory. S3 asks for at least
/// 5 MiB for all but the last; ten thousand parts of this size are 80 GB.
pub const PART: usize = 8 * 1024 * 1024;
/// Time for one request to the object store, response included: one part over 1 Mbit/s.
pub const OBJECT_REQUEST: Duration = Duration::from_secs(90);
/// Repetitions of one request by the object store's client. The outbox waits and tries again; this
/// is only for what a second try mends.
pub const OBJECT_RETRIES: usize = 2;
/// Time for one call of an AWS service.
pub const CALL: Duration = Duration::from_secs(30);
/// Bytes of a response that is read: errors have a few hundred.
pub const RESPONSE: usize = 64 * 1024;
/// Bytes of a file that holds a secret access key.
pub const MAX_SECRET_FILE: u64 = 4096;

/// Bytes of text in one CloudWatch event at the end of a session; what Session Manager sends.
pub const LOG_EVENT: usize = 200_000;
/// Events in one `PutLogEvents`; what Session Manager sends. Together they stay under the service's
/// limit of 1 MiB.
pub const LOG_EVENTS: usize = 4;
/// Bytes of text in one streamed CloudWatch event; what Session Manager sends.
pub const STREAMED_EVENT: usize = 33_000;
/// Bytes of one recording, compressed, that are read in one round of streaming.
pub const STREAMED_ROUND: u64 = 8 * 1024 * 1024;
/// Bytes of one unpacked member that streaming reads.
pub const STREAMED_MEMBER: u64 = STREAMED_ROUND * 8;
/// Age of an event that CloudWatch Logs still takes. The service refuses more than two weeks.
pub const OLDEST_LOG_EVENT: Duration = Duration::from_secs(13 * 86_400);
/// Failures of one log, each while another log was delivered, until it goes to quarantine.
pub const LOG_PATIENCE: u32 = 5;
/// Session logs and copies in one round: more than a gateway has sessions, so that each streamed
/// session has its turn every second.
pub const SESSIONS_ROUND: usize = 16_384;
/// Command outputs in one round.
pub const OUTPUTS_ROUND: usize = 256;
/// Refusals of one copy by its bucket until it goes to quarantine: with the waits between them,
/// more than an hour.
pub const COPY_PATIENCE: u32 = 20;
/// Clients for buckets that preferences name, kept open. A client costs some 100 KiB.
pub const BUCKET_CLIENTS: usize = 16;

/// How often retention is applied.
pub const RETENTION_EVERY: Duration = Duration::from_secs(3600);
/// Objects that retention looks at in one go, about 200 bytes each: 40 MB at the most.
pub const RETENTION_OBJECTS: usize = 200_000;
