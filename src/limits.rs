//! Every capacity of the agent: its value, its reason, and what it costs in memory.
//!
//! Who ports the agent to a smaller board edits this page and no other. Numbers that depend on each
//! other are derived, or checked by an assertion that stops the build.
//!
//! # Not here
//! - The sizes of the wire itself (frame, window): they belong to both ends and stand in
//!   `towline-wire`.

use std::time::Duration;

/// How long processes of an ended session may tidy up between the hang-up and the kill. Long enough
/// for an editor to save its swap file, short enough that nobody waits for it.
pub const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// How often survivors of a kill are killed again (only processes stuck in the kernel survive one).
pub const KILL_AGAIN: Duration = Duration::from_secs(2);

/// How long a terminal that others still hold open is read on after its leader has ended. Without
/// others the end of the output is exact, and this is not used.
pub const DRAIN_AFTER_EXIT: Duration = Duration::from_millis(500);

/// Processes looked at in one pass over a session's family. More are found by the next pass. 4
/// bytes each.
pub const FAMILY_PASS: usize = 4096;

/// How often, and after which pauses, the agent looks at its start whether the processes of
/// left-over sessions are gone.
pub const SWEEP_LOOKS: u32 = 10;
/// See [`SWEEP_LOOKS`]. Together a tenth of a second: a start is not kept by a process that cannot
/// be killed.
pub const SWEEP_PAUSE: Duration = Duration::from_millis(10);
/// Depth of nested cgroups below a session that are walked; the kernel's own kill needs no walk.
pub const CGROUP_DEPTH: usize = 8;

/// Most processes (and threads) of one session unless set otherwise, or half of what the kernel has
/// for all if that is less. As many as the command log follows. A script that forks for ever comes
/// to its end here, and the device stays usable.
pub const PROCESSES: u32 = 4096;

/// Largest `/etc/environment` that is read, in bytes; only while a session is being opened.
pub const ENVIRONMENT_FILE: usize = 64 * 1024;

/// Most variables in the environment of a session.
pub const ENVIRONMENT_ENTRIES: usize = 256;

/// Most arguments of one command, and the most bytes of all of them together.
pub const ARGUMENTS: usize = 1024;
/// See [`ARGUMENTS`]. Well under the kernel's limit for one argument (128 KiB).
pub const ARGUMENT_BYTES: usize = 64 * 1024;

/// Most supplementary groups that are set for an account.
pub const GROUPS: usize = 1024;

const _: () = assert!(
    KILL_AGAIN.as_millis() < HANG_UP_GRACE.as_millis(),
    "the second kill would wait too long"
);

/// Longest wait between two tries to dial, unless set otherwise.
pub const RECONNECT_MAX: Duration = Duration::from_secs(300);

/// How long sessions outlive the link, unless set otherwise.
pub const GRACE: Duration = Duration::from_secs(600);

/// Sessions at once, unless set otherwise. Each costs at most [`INPUT`] plus its share of
/// [`REPLAY_ALL`].
pub const SESSIONS: usize = 8;

/// Most sessions that may be set.
pub const SESSIONS_CEILING: usize = 64;

/// With so many bytes of messages waiting for the link, echoes are not told but joined (see
/// [`crate::session::echo`]): input that comes while nothing goes out must not fill the queue,
/// which would end the link.
pub const ECHO_WAITS: usize = towline_wire::mux::CONTROL_QUEUE / 4;

/// Room for input of one session that its program has not read yet, bytes. Allocated only while
/// something waits.
pub const INPUT: u32 = 64 * 1024;

/// Largest script, bytes: it waits in the stream's buffer until it is whole. In memory from its
/// first byte to its start, and from there in the kernel's until it ends.
pub const SCRIPT: u32 = INPUT;

/// Lines of the journal that are kept: one for each start of the agent, and one for each command
/// until the gateway has its result. What falls out at the old end is not started again, either.
/// Some 64 bytes each.
pub const JOURNAL: usize = 512;
/// Largest journal that is read, bytes, and the size at which it is written anew.
pub const JOURNAL_FILE: usize = 64 * 1024;

/// Largest replay ring of one stream of a shell or a command, bytes. Throughput is at most this by
/// the round trip: 1 MiB gives 10 MB/s at 100 ms. Grows with use, and is given back when all was
/// acknowledged.
pub const REPLAY_ONE: usize = 1024 * 1024;

/// All replay rings together, bytes; two [`WINDOW`]s where those are set to more. A ring that grows
/// needs half as much again for a moment, while its bytes are moved.
pub const REPLAY_ALL: usize = 4 * 1024 * 1024;

/// Bytes of one tunnel or copy that may be under way in each direction, unless set otherwise
/// (`sessions.window_bytes`): its replay ring, and the room for what its targets have not taken.
/// Throughput is at most this by the round trip: 2 MiB give 20 MB/s at 100 ms and 40 at 50, as
/// OpenSSH's own window does. Both grow with use.
pub const WINDOW: u32 = 2 * 1024 * 1024;
/// Least and most that may be set. A ring takes the largest power of two in it. With the most,
/// rings and rooms together may come to 16 MiB, half of it in a stream's ring and the other only
/// while targets take nothing.
pub const WINDOW_FLOOR: u32 = 256 * 1024;
/// See [`WINDOW_FLOOR`]. What a gateway passes on for one client.
pub const WINDOW_CEILING: u32 = 4 * 1024 * 1024;

/// Bytes read from one program in one turn of the loop, so that no program holds up the others.
pub const READ_TURN: usize = 64 * 1024;

/// Frames are encoded ahead until so many bytes wait for TLS; the last one may exceed it by one
/// frame. More would let bulk delay a keystroke.
pub const LINK_OUT: usize = 4 * 1024;

/// Plaintext and ciphertext the TLS library may hold for sending, bytes.
pub const TLS_BUFFER: usize = 32 * 1024;

/// Unsent bytes that the kernel holds before it takes no more, see `TCP_NOTSENT_LOWAT` in tcp(7).
pub const NOTSENT_LOWAT: u32 = 32 * 1024;

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(90);

/// Time for one try to dial, all steps together.
pub const DIAL: Duration = Duration::from_secs(45);
/// Time for the look-up of a name.
pub const RESOLVE: Duration = Duration::from_secs(20);
/// How long one address is tried alone before the next joins in (RFC 8305, section 8).
pub const HEAD_START: Duration = Duration::from_millis(250);
/// Most addresses of one name that are tried.
pub const ADDRESSES: usize = 8;
/// Time for the gateway's answer to the greeting.
pub const GREETING: Duration = Duration::from_secs(30);
/// Largest answer of a proxy to CONNECT, bytes.
pub const PROXY_HEAD: usize = 8 * 1024;

/// Largest configuration file that is read, bytes, and most files beside the main one. Only at
/// start.
pub const CONFIG_FILE: usize = 256 * 1024;
/// See [`CONFIG_FILE`].
pub const CONFIG_FILES: usize = 64;

const _: () = assert!(REPLAY_ONE <= REPLAY_ALL, "one stream could never have its ring");
const _: () = assert!(
    RESOLVE.as_secs() < DIAL.as_secs(),
    "a slow name server would leave no time to connect"
);

/// A link that lived so long, or carried a session, was a good one: the next tries begin anew.
/// Without this, a gateway that accepts and drops would be dialled without a pause.
pub const GOOD_LINK: Duration = Duration::from_secs(10);
/// Keys are made no more often: each is a write to flash, and a gateway gone mad must not wear it
/// out.
pub const ROTATION_PAUSE: Duration = Duration::from_secs(10);
/// News of the network cause at most one try to dial, or one probe of the link, in this time.
pub const NEWS_PAUSE: Duration = Duration::from_secs(5);

/// How long the last messages of a stopping agent may take on the link.
pub const CLOSE: Duration = Duration::from_millis(500);

/// How long the agent waits for its sessions when it is told to stop, before it ends them the hard
/// way.
pub const STOP: Duration = Duration::from_secs(8);

const _: () = assert!(
    STOP.as_secs() > HANG_UP_GRACE.as_secs(),
    "sessions would be killed before their grace is over"
);

/// How long the installed program may take to say whether it would take the sessions over. Reading
/// its settings takes milliseconds; from worn flash under load it may take seconds.
pub const TAKES_OVER: Duration = Duration::from_secs(15);

/// How often a device that belongs to nobody looks whether it does now. An enrolled device never
/// wakes for it. Well under half of the watchdog's patience in systemd/towline-agent.service.
pub const LOOK_FOR_ENROLMENT: Duration = Duration::from_secs(5);

/// Room of all tunnels and copies together for bytes that their targets have not taken, bytes; two
/// [`WINDOW`]s where those are set to more. One has a window; later ones get half of what is left,
/// and [`TUNNEL_INPUT_LEAST`] in any case. Allocated only while a target does not take what is sent
/// to it.
pub const TUNNEL_INPUT_ALL: u32 = 4 * 1024 * 1024;
/// See [`TUNNEL_INPUT_ALL`].
pub const TUNNEL_INPUT_LEAST: u32 = 64 * 1024;
/// Connections at once in one tunnel. Each is a descriptor and some 500 bytes; each connection of a
/// tunnel whose input has its whole room may have 8 KiB under way before its window is known.
pub const CONNECTIONS: usize = 128;
/// Window of a new connection where there is room for it, bytes; it grows to three quarters of the
/// tunnel's room. Version 2 of smux only.
pub const TUNNEL_WINDOW_FIRST: u32 = 64 * 1024;
/// Time for one dial to a target: the look-up of its name, and all of its addresses.
pub const TUNNEL_DIAL: Duration = Duration::from_secs(10);
/// How long the addresses of a name are used again.
pub const NAME_KEPT: Duration = Duration::from_secs(5);
/// How long a target may take for the rest of a connection whose operator has closed it whole.
pub const TUNNEL_LINGER: Duration = Duration::from_secs(30);

const _: () = assert!(
    CONNECTIONS as u32 * towline_wire::smux::INITIAL_WINDOW <= WINDOW,
    "first windows must fit"
);
const _: () = assert!(
    TUNNEL_INPUT_LEAST >= towline_wire::smux::INITIAL_WINDOW && TUNNEL_INPUT_LEAST <= WINDOW_FLOOR
);
const _: () = assert!(
    2 * WINDOW as usize <= REPLAY_ALL && 2 * WINDOW <= TUNNEL_INPUT_ALL,
    "one must leave half to others"
);

/// Living processes of all sessions that the command log follows; one more is a gap. Some 60 bytes
/// each while it lives: 240 KiB when all are there, nothing when there is no session.
pub const LOG_MEMBERS: usize = 4096;
/// What the watcher of processes may leave for the loop, items. A burst of 200 programs at once is
/// 400.
pub const LOG_SEEN: usize = 4096;
/// Bytes of arguments and paths in these. Kept only until the loop's next turn.
pub const LOG_SEEN_BYTES: usize = 256 * 1024;
/// How long an event of the kernel waits for what comes right after it, see `command_log::look_ahead`. Records
/// come that much later.
pub const LOG_AHEAD_FOR: Duration = Duration::from_millis(20);
/// Events that may wait so, of some 50 bytes: 200 KiB in a storm of forks, a few hundred otherwise.
pub const LOG_AHEAD: usize = 4096;
/// What processes answered and no event was handled for yet. At 20 ms an event this is 12,000 execs
/// a second.
pub const LOG_ANSWERS: usize = 256;
/// Bytes of arguments and paths in these.
pub const LOG_ANSWER_BYTES: usize = 128 * 1024;
/// Threads that ask, one a processor. Each touches some 12 KiB of stack, and only while a session
/// is open.
pub const LOG_ASKERS: usize = 16;
/// Encoded records that wait to be stored by the gateway, bytes: some 2,500 programs with their
/// ends. More drop the oldest, or go to the spool. Grows with use, given back when all is stored.
pub const LOG_RING: usize = 256 * 1024;
/// Sessions whose records may still come although the session is gone. A name is at most 96 bytes.
pub const LOG_NAMES: usize = 2 * SESSIONS_CEILING;
/// How often the table of processes is looked at where the kernel has no events for us. Only while
/// a session is open.
pub const LOG_POLL: Duration = Duration::from_millis(200);
/// How long records wait in memory without a link before they go to the disk, some at once: flash
/// wears by the write.
pub const SPOOL_AFTER: Duration = Duration::from_secs(5);
/// Bytes of the spool unless set otherwise, and the most that may be set.
pub const SPOOL: u64 = 1024 * 1024;
/// See [`SPOOL`].
pub const SPOOL_CEILING: u64 = 256 * 1024 * 1024;
/// The smallest spool that makes sense, bytes: its files are a sixteenth, and hold some batches
/// each.
pub const SPOOL_FLOOR: u64 = 128 * 1024;
/// Command lines of one session that wait for the loop's next turn. More come from a program that
/// plays a terminal.
pub const LINES: usize = 16;
/// Stack of the watcher's thread, bytes; of these some 12 KiB are touched.
pub const LOG_STACK: usize = 128 * 1024;

/// How often the state directory's lock is asked for at the start, and the pause in between: two
/// seconds in all. An agent that was killed while it forked leaves the lock with a child that has
/// not yet begun its program, for some milliseconds (seen).
pub const LOCK_TRIES: usize = 41;
/// See [`LOCK_TRIES`].
pub const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of one line of the agent's log. Longer lines are cut. On the stack while a line is made.
pub const LOG_LINE: usize = 2048;
/// Spans of the log that are open at once. The loop holds the link's and enters one session's; the
/// threads of the command log hold none. 120 bytes each.
pub const LOG_SPANS: usize = 8;
/// Bytes of one span in a line: the name of a session has 96.
pub const LOG_SPAN: usize = 112;
/// Spans that one thread is in at once. 8 bytes each.
pub const LOG_DEPTH: usize = 8;
