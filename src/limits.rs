//! Every capacity of the agent: its value with the unit, its reason, its cost in RAM.
//!
//! A port to a smaller board edits this file and no other. Numbers that depend on
//! each other are derived, or checked by an assertion that stops the build. A constant without a
//! "RAM" sentence costs none.
//!
//! # Not here
//! - Sizes of the wire itself (frame, window): both ends need them, they are in `towline-wire`.
//! - Constants of file formats and of the kernel's interfaces: they are beside the code that reads
//!   them.

use std::time::Duration;

// ---- processes of a session ----

/// Time between the hang-up and the kill of an ended session's processes. An editor saves its swap
/// file in it.
pub const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// Time between two kills of the same processes. Only a process stuck in the kernel survives one.
pub const KILL_AGAIN: Duration = Duration::from_secs(2);

/// How long the agent reads a terminal after the leader of its session has ended, if other
/// processes still hold it open. Without them the end of the output is exact.
pub const DRAIN_AFTER_EXIT: Duration = Duration::from_millis(500);

/// Processes in one pass over a session's family. The next pass finds more. RAM: 4 bytes each,
/// 16 KiB, for the pass.
pub const FAMILY_PASS: usize = 4096;

/// Looks, at the agent's start, whether processes of left-over sessions are gone.
pub const SWEEP_LOOKS: u32 = 10;
/// Pause between two of these looks: 0.1 s in all. A process that cannot be killed must not delay
/// the start.
pub const SWEEP_PAUSE: Duration = Duration::from_millis(10);

/// Depth of nested cgroups below a session that are walked. The kernel's own kill needs no walk.
pub const CGROUP_DEPTH: usize = 8;

/// Characters of a session's name in the name of its cgroup. A directory's name has 255 bytes.
pub const CGROUP_NAME: usize = 64;

/// Processes and threads of one session unless set otherwise, or half of the kernel's limit if that
/// is less: as many as the command log follows. A script that forks without end stops here.
pub const PROCESSES: u32 = 4096;

/// Highest value of `sessions.max_processes`: the kernel's own limit.
pub const PROCESSES_CEILING: usize = 1 << 22;

/// Bytes read of `/etc/environment`. RAM: that much while a session is opened.
pub const ENVIRONMENT_FILE: usize = 64 * 1024;

/// Variables in the environment of a session. RAM: their text while a session is opened.
pub const ENVIRONMENT_ENTRIES: usize = 256;

/// Arguments of one command.
pub const ARGUMENTS: usize = 1024;
/// Bytes of all arguments of one command, below the kernel's limit for one (128 KiB). RAM: that
/// much while a session is opened.
pub const ARGUMENT_BYTES: usize = 64 * 1024;

/// Supplementary groups that are set for an account. RAM: 4 bytes each while a session is opened.
pub const GROUPS: usize = 1024;

const _: () = assert!(
    KILL_AGAIN.as_millis() < HANG_UP_GRACE.as_millis(),
    "the second kill would wait too long"
);

/// Records of `utmp` that are looked at, one for each terminal of the device.
pub const LOGIN_RECORDS: u64 = 4096;

// ---- sessions and their bytes ----

/// How long a detached program runs at most.
pub const DETACHED: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Sessions at once unless set otherwise. RAM: each [`INPUT`] at most, and a share of
/// [`REPLAY_ALL`].
pub const SESSIONS: usize = 8;
/// Sessions beyond `sessions.max` for a repair: terminals only, see `OpenReserved` in wire.md. RAM:
/// as any other session.
pub const RESERVED: usize = 1;
/// Highest value of `sessions.max`.
pub const SESSIONS_CEILING: usize = 64;

/// How long sessions wait for a lost link, unless set otherwise.
pub const GRACE: Duration = Duration::from_secs(600);
/// Highest value of `sessions.grace`: a week.
pub const GRACE_CEILING: Duration = Duration::from_secs(7 * 86_400);

/// Bytes of waiting messages from which on echoes are joined and not reported one by one (see
/// [`crate::session::echo`]). Input that arrives while nothing can be sent must not fill the queue:
/// a full queue ends the link.
pub const ECHO_WAITS: usize = towline_wire::mux::CONTROL_QUEUE / 4;

/// Bytes of input of one session that its program has not read. RAM: that much, while input waits.
pub const INPUT: u32 = 64 * 1024;

/// Bytes of the largest script. RAM: that much from the first byte until the start; from there the
/// kernel holds it until the end.
pub const SCRIPT: u32 = INPUT;

/// Lines of the journal: one for each start of the agent, one for each command. A command whose
/// line was dropped is not started again, either. RAM: 64 bytes each, 32 KiB.
pub const JOURNAL: usize = 512;
/// Those among them whose result the gateway has. RAM: 8 KiB of that.
pub const JOURNAL_ENDED: usize = 128;
/// Bytes read of the journal, and the size at which it is rewritten. RAM: that much at the start.
pub const JOURNAL_FILE: usize = 64 * 1024;

/// Bytes of the largest replay ring of one stream of a shell or a command. It bounds throughput by
/// the round trip: 1 MiB gives 10 MB/s at 100 ms. RAM: grows with use, freed when all bytes are
/// acknowledged.
pub const REPLAY_ONE: usize = 1024 * 1024;

/// Bytes of all replay rings together, or two [`WINDOW`]s where these are set to more. RAM: that
/// much at most; a ring that grows needs half as much again while its bytes are moved.
pub const REPLAY_ALL: usize = 4 * 1024 * 1024;

/// Unacknowledged bytes of one tunnel or copy in each direction unless set otherwise
/// (`sessions.window_bytes`). It bounds throughput by the round trip: 2 MiB give 20 MB/s at 100 ms,
/// as OpenSSH's window does. RAM: a replay ring and a receive buffer of this size, grown with use.
pub const WINDOW: u32 = 2 * 1024 * 1024;
/// Lowest value of `sessions.window_bytes`.
pub const WINDOW_FLOOR: u32 = 256 * 1024;
/// Highest value of `sessions.window_bytes`: what a gateway relays for one client. RAM: a ring
/// takes the largest power of two in it, so rings and receive buffers come to 16 MiB at most.
pub const WINDOW_CEILING: u32 = 4 * 1024 * 1024;

/// Bytes read from one program in one turn of the loop. More would hold up the other sessions.
pub const READ_TURN: usize = 64 * 1024;

const _: () = assert!(REPLAY_ONE <= REPLAY_ALL, "one stream could never have its ring");

// ---- command lines off the terminal ----

/// Characters of the longest command line. RAM: 4 bytes each, 4 KiB a shell.
pub const TYPED_LINE: usize = 1024;
/// Of output longer than twice this, bytes at both ends that are looked at.
pub const TYPED_ENDS: usize = 1024;
/// Characters of the longest prompt. RAM: two of 4 bytes each, 2 KiB a shell.
pub const TYPED_PROMPT: usize = 256;
/// Pressed Enter keys that wait for their line.
pub const TYPED_ENTERS: u8 = 64;
/// Command lines of one session that wait for the loop. Only a program that plays a terminal makes
/// more. RAM: 24 bytes each and their text.
pub const LINES: usize = 16;

// ---- the link ----

/// First bound of the wait between two dials; it doubles with each failure.
pub const RECONNECT_FIRST: Duration = Duration::from_secs(1);
/// Shortest wait between two dials. A gateway that accepts and drops must not be hammered.
pub const RECONNECT_SHORTEST: Duration = Duration::from_millis(250);
/// Longest wait between two dials while sessions are open: a person waits for the link.
pub const RECONNECT_WITH_SESSIONS: Duration = Duration::from_secs(10);
/// Wait after a refusal that a person can mend: unknown key, pending, quarantined.
pub const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// How long such a refusal is tried again that soon. After it the waits are the gateway's.
pub const REFUSED_OFTEN: Duration = Duration::from_secs(300);
/// Links in a row that end within [`GOOD_LINK`] and still begin the waits anew.
pub const SHORT_LINKS: u32 = 5;
/// Longest wait between two dials unless set otherwise.
pub const RECONNECT_MAX: Duration = Duration::from_secs(300);
/// Highest value of `gateway.reconnect_max`: a day.
pub const RECONNECT_CEILING: Duration = Duration::from_secs(86_400);
/// Lowest value of `gateway.keep_alive_max`: below it a radio never sleeps.
pub const KEEP_ALIVE_FLOOR: Duration = Duration::from_secs(20);
/// Highest value of `gateway.keep_alive_max`: beyond it few routers remember a connection.
pub const KEEP_ALIVE_CEILING: Duration = Duration::from_secs(1_500);

/// Bytes that are encoded ahead of TLS; the last frame may exceed it. More would let bulk output
/// delay a keystroke. RAM: that much and one frame, freed when the link is silent.
pub const LINK_OUT: usize = 4 * 1024;

/// Bytes that the TLS library holds for sending. RAM: that much at most.
pub const TLS_BUFFER: usize = 32 * 1024;

/// Unsent bytes that the kernel holds, see `TCP_NOTSENT_LOWAT` in tcp(7). RAM: the kernel's.
pub const NOTSENT_LOWAT: u32 = 32 * 1024;

/// How long sent bytes stay unacknowledged before the kernel gives the connection up.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(90);

/// Events that the kernel tells at a time; the next turn has the others. RAM: 12 bytes for each, in
/// each process.
pub const IO_EVENTS: usize = 64;

/// Bytes that a network process reads at a time while there are many, in each direction. RAM: twice
/// that, in that process, and only while bytes are under way.
pub const SEPARATED_COPY: usize = 16 * 1024;
/// The same while there are few: a key, an echo.
pub const SEPARATED_FEW: usize = 1024;
/// Bytes that the kernel holds on the way to it. RAM: the kernel's.
pub const SEPARATED_BUFFER: usize = 16 * 1024;
/// A network process closes all descriptors below this one that it was started with by oversight.
pub const SEPARATED_INHERITED: i32 = 1024;
/// Network processes that end before they have given up their rights, until the agent takes it that
/// this device cannot have one.
pub const SEPARATED_STARTS: u8 = 3;
/// Bytes of data that a network process may have. RAM: that, when an attacker has taken the process
/// over.
pub const SEPARATED_MEMORY: u64 = 16 * 1024 * 1024;
/// Descriptors that a network process may have; an honest one needs a dozen.
pub const SEPARATED_DESCRIPTORS: u64 = 64;
/// Characters of a text of a network process that are shown.
pub const SEPARATED_TEXT: usize = 400;

/// Time for one dial, all steps together.
pub const DIAL: Duration = Duration::from_secs(45);
/// The same where a device has several gateways: a dead address must not keep it from the next one.
pub const DIAL_ONE_OF_SOME: Duration = Duration::from_secs(15);
/// Longest wait before the next address of a round.
pub const NEXT_GATEWAY: Duration = Duration::from_secs(1);
/// Addresses of gateways in the settings. RAM: about 100 bytes each.
pub const GATEWAYS: usize = 8;
/// Time for the look-up of a name.
pub const RESOLVE: Duration = Duration::from_secs(20);
/// Names that are looked up at once, those included that nobody waits for any more. RAM: a thread's
/// 12 KiB of stack each, for that time.
pub const LOOK_UPS: usize = 8;
/// How long one address is tried alone before the next one is tried beside it (RFC 8305,
/// section 8).
pub const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried. RAM: 32 bytes each during a dial.
pub const ADDRESSES: usize = 8;
/// Time for the gateway's answer to the handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(30);
/// Bytes of a proxy's answer to CONNECT. RAM: that much during a dial.
pub const PROXY_HEAD: usize = 8 * 1024;
/// Characters of a proxy's refusal that are shown.
pub const PROXY_TEXT: usize = 80;

/// A link that lived this long, or carried a session, was a good one: the waits begin anew. Without
/// it a gateway that accepts and drops would be dialled without a pause.
pub const GOOD_LINK: Duration = Duration::from_secs(10);
/// Time between two new keys. Each is a write to flash; a faulty gateway must not wear it out.
pub const ROTATION_PAUSE: Duration = Duration::from_secs(10);
/// Time between two dials, or two probes of the link, because of network changes.
pub const NEWS_PAUSE: Duration = Duration::from_secs(5);

/// Time after which the authority's time is asked for again. A quartz drifts by 0.2 s in it.
pub const TIME_RENEWED: Duration = Duration::from_secs(3600);
/// Time for the answer to that question.
pub const TIME_ANSWER: Duration = Duration::from_secs(5);
/// Orders that wait for it. RAM: each at most [`SCRIPT`] and its order, for that time.
pub const POSTPONED: usize = 8;

/// How far ahead of its build the device's clock is believed: ten years.
pub const CLOCK_AHEAD: Duration = Duration::from_secs(10 * 366 * 86_400);

const _: () = assert!(
    RESOLVE.as_secs() < DIAL.as_secs(),
    "a slow name server would leave no time to connect"
);

// ---- start, stop, upgrade ----

/// Bytes of the largest configuration file. RAM: that much at the start.
pub const CONFIG_FILE: usize = 256 * 1024;
/// Configuration files beside the main one, and mounted media that are looked at.
pub const CONFIG_FILES: usize = 64;
/// Bytes read of a small file of the state directory. RAM: that much at the start.
pub const STATE_FILE: u64 = 64 * 1024;
/// Bytes read of an activation code, from a file or standard input.
pub const ACTIVATION_CODE: u64 = 4096;
/// Bytes read of the kernel's command line: the kernel's own limit on larger machines.
pub const KERNEL_COMMAND_LINE: u64 = 4096;

/// Tries to lock the state directory at the start.
pub const LOCK_TRIES: usize = 41;
/// Pause between two of these tries: 2 s in all. An agent that was killed while it forked leaves
/// the lock for some milliseconds with a child that has not begun its program (seen).
pub const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// How often a device without an enrollment looks for one. An enrolled device never wakes for it.
/// It stays below half of the watchdog's time in systemd/towline-agent.service.
pub const LOOK_FOR_ENROLLMENT: Duration = Duration::from_secs(5);

/// How long a stopping agent waits for its sessions before it kills them.
pub const STOP: Duration = Duration::from_secs(8);
/// How long a stopping agent sends its last messages.
pub const CLOSE: Duration = Duration::from_millis(500);

/// Time for the installed program's answer whether it can take over the sessions. It reads its
/// settings, which takes seconds from worn flash under load.
pub const TAKES_OVER: Duration = Duration::from_secs(15);
/// Bytes of the longest text in a state transfer: the largest replay ring of a copy. RAM: that much
/// while it is read.
pub const TRANSFER_BYTES: usize = WINDOW_CEILING as usize;
/// Items of one list in a state transfer.
pub const TRANSFER_ITEMS: u32 = 1024;

const _: () = assert!(
    STOP.as_secs() > HANG_UP_GRACE.as_secs(),
    "sessions would be killed before their grace is over"
);

// ---- tunnels ----

/// Descriptors that tunnels leave to the agent itself: its link, a dial, the command log.
pub const OWN_DESCRIPTORS: u64 = 64;
/// Descriptors that tunnels leave to each session that there may be (`sessions.max`).
pub const SESSION_DESCRIPTORS: u64 = 12;

/// Bytes of all tunnels and copies together that their targets have not taken, or two [`WINDOW`]s
/// where these are set to more. The first gets a window, later ones half of the rest, and
/// [`TUNNEL_INPUT_LEAST`] in any case. RAM: that much, while a target takes nothing.
pub const TUNNEL_INPUT_ALL: u32 = 4 * 1024 * 1024;
/// Least of these bytes for one tunnel.
pub const TUNNEL_INPUT_LEAST: u32 = 64 * 1024;
/// Connections at once in one tunnel. RAM: some 500 bytes and a descriptor each, and 24 bytes each
/// for failures that wait to be reported; 8 KiB each before the window of a connection is known.
pub const CONNECTIONS: usize = 128;
/// Bytes of the first window of a connection (version 2 of smux). It grows to three quarters of the
/// tunnel's receive buffer.
pub const TUNNEL_WINDOW_FIRST: u32 = 64 * 1024;
/// Bytes read at once where the ring has no contiguous space for a frame. RAM: on the stack.
pub const TUNNEL_SMALL_READ: usize = 1024;
/// Time for one dial to a target: the look-up of its name and all its addresses.
pub const TUNNEL_DIAL: Duration = Duration::from_secs(10);
/// Least of this time for one address.
pub const TUNNEL_DIAL_ONE: Duration = Duration::from_secs(2);
/// How long the addresses of a name are reused.
pub const NAME_KEPT: Duration = Duration::from_secs(5);
/// How long a target may take for the rest of a connection that its operator has closed.
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

// ---- command log ----

/// Living processes that the command log follows. One more is a gap. RAM: 60 bytes each while they
/// live, 240 KiB at most, nothing without a session.
pub const LOG_MEMBERS: usize = 4096;
/// Observations that wait for the loop. 200 programs at once are 400. RAM: 100 bytes each until the
/// loop's next turn.
pub const LOG_SEEN: usize = 4096;
/// Bytes of arguments and paths in these. RAM: that much until the loop's next turn.
pub const LOG_SEEN_BYTES: usize = 256 * 1024;
/// How long an event of the kernel waits for the next one (see `command_log::look_ahead`). Records
/// come that much later.
pub const LOG_AHEAD_FOR: Duration = Duration::from_millis(20);
/// Events that wait so. RAM: 50 bytes each, 200 KiB in a storm of forks.
pub const LOG_AHEAD: usize = 4096;
/// Nanoseconds by which a program's arguments can be read before its event comes.
pub const LOG_SHOWN_BEFORE: u64 = 100_000;
/// Answers of processes whose event was not handled yet: 12,000 execs a second at 20 ms. RAM: 120
/// bytes each.
pub const LOG_ANSWERS: usize = 256;
/// Bytes of arguments and paths in these. RAM: that much at most.
pub const LOG_ANSWER_BYTES: usize = 128 * 1024;
/// Threads that read processes, one a processor. RAM: 12 KiB of stack each, while a session is
/// open.
pub const LOG_READERS: usize = 16;
/// How long the watcher waits for one of these threads at its start, before it looks again.
pub const LOG_READERS_WAIT: Duration = Duration::from_millis(10);
/// Stack of the watcher's threads, bytes. RAM: the 12 KiB that are touched.
pub const LOG_STACK: usize = 128 * 1024;
/// Bytes of the kernel's buffer for process events: 5,000 events of 800 bytes wait there while the
/// agent does not run. RAM: the kernel's.
pub const LOG_KERNEL_BUFFER: usize = 4 * 1024 * 1024;
/// Messages before the kernel's answer to the request for events.
pub const LOG_KERNEL_ANSWER: usize = 10_000;
/// How long the watcher stays without a session: the next one may come at once.
pub const LOG_LINGER: Duration = Duration::from_secs(3);
/// How long a stopping agent waits for the observations of its watcher: some milliseconds, unless
/// the device is starved.
pub const LOG_FINISH: Duration = Duration::from_millis(500);
/// Bytes of encoded records that wait for the gateway: 2,500 programs with their ends. More drop
/// the oldest, or go to the spool. RAM: grows with use, freed when all is stored.
pub const LOG_RING: usize = 256 * 1024;
/// Sessions whose records may still come although the session is gone. RAM: 32 bytes and a name of
/// 96 bytes at most.
pub const LOG_NAMES: usize = 2 * SESSIONS_CEILING;
/// Time between two looks at the process table, where the kernel has no events. Only while a
/// session is open.
pub const LOG_POLL: Duration = Duration::from_millis(200);
/// How long records wait in memory without a link before they go to the disk: flash wears by the
/// write.
pub const SPOOL_AFTER: Duration = Duration::from_secs(5);
/// Bytes of the spool unless set otherwise.
pub const SPOOL: u64 = 1024 * 1024;
/// Highest value of `audit.spool_bytes`.
pub const SPOOL_CEILING: u64 = 256 * 1024 * 1024;
/// Lowest value of `audit.spool_bytes`: a file is a sixteenth of it and holds some batches.
pub const SPOOL_FLOOR: u64 = 128 * 1024;
/// Files that the spool is divided into. A full spool drops one of them.
pub const SPOOL_FILES: u64 = 16;
/// Files of the spool's directory that are looked at. RAM: 80 bytes each.
pub const SPOOL_FILES_READ: usize = 64;

// ---- the agent's own log ----

/// Bytes of one line. A longer line is cut. RAM: on the stack while a line is made.
pub const LOG_LINE: usize = 2048;
/// Spans that are open at once: the loop holds the link's and enters one session's. RAM: 120 bytes
/// each.
pub const LOG_SPANS: usize = 8;
/// Bytes of one span in a line: a session's name has 96.
pub const LOG_SPAN: usize = 112;
/// Spans that one thread is in at once. RAM: 8 bytes each.
pub const LOG_DEPTH: usize = 8;
