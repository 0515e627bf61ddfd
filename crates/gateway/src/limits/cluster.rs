//! Limits of what nodes of a cluster ask of each other.

use std::time::Duration;

/// Calls to other nodes under way; one more waits for a moment.
pub const MAX_PEER_CALLS: usize = 64;

/// Data channels that this node relays; each costs two connections and 16 KiB.
pub const MAX_RELAYS: usize = 1024;

/// Bytes of another node's answer: the API's greatest answers and their head.
pub const MAX_PEER_ANSWER: usize = 16 << 20;

/// How long a node remembers policies that it has read: so long may another node's change go
/// unnoticed.
pub const POLICY_FRESH: Duration = Duration::from_secs(1);

/// How soon an unknown key or name makes a node look for other nodes again.
pub const NODES_AGAIN: Duration = Duration::from_secs(1);

/// How long a node may take to take a connection.
pub const PEER_DIAL: Duration = Duration::from_secs(3);

/// How long a node may take to answer: as long as a device may take to open a session, and more.
pub const PEER_PATIENCE: Duration = Duration::from_secs(60);

/// Pauses between tries to store that a link has ended, while the database is away.
pub const ARRIVAL_AGAIN: [Duration; 6] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
];

/// Looks in a row, one with each renewal of the lease, at which the numbers of links and of their
/// rows differ before they are compared one by one. Devices come and go between the two counts.
pub const PRESENCE_DIFFERS: u32 = 5;

/// How long a node that was not told over the network may take to end a session that the store
/// says is to end: two renewals of its lease and the session's end.
pub const WANTED_END: Duration = Duration::from_secs(6);

/// How often it is looked whether it has.
pub const WANTED_END_LOOK: Duration = Duration::from_millis(200);

/// Nodes that are told again and again of rights that were removed, because they did not answer.
pub const MAX_TOLD_AGAIN: usize = 64;

/// Recordings of which a node remembers which other one had them.
pub const RECORDING_PLACES: usize = 256;

/// How long all other nodes together may take to tell what they have of a step's output, or
/// whether they have a part of a recording.
pub const EVERYBODY: Duration = Duration::from_secs(10);

/// Pauses between tries to keep a session that has come from another node, while the database
/// fails. Other devices wait meanwhile; then the device's link is refused, and it comes again.
pub const ADOPT_AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// How long a node that is told to stop gives its devices and sessions to others. The unit's
/// `TimeoutStopSec` is longer.
pub const DRAIN_AT_STOP: Duration = Duration::from_secs(60);

/// The longest time that `drain` may name.
pub const LONGEST_DRAIN: Duration = Duration::from_secs(3600);

/// How long a token for a further gateway holds.
pub const INVITATION_LIFE: Duration = Duration::from_secs(15 * 60);

/// Callers with a token, or without one, that are listened to at once.
pub const MAX_JOINING: usize = 4;

/// How long one of them may take.
pub const JOINING_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of such a request.
pub const MAX_JOIN_REQUEST: usize = 4096;

/// Bytes of all files that a gateway gets when it joins.
pub const MAX_JOIN_FILES: u64 = 1 << 20;

/// How often a node that drains looks what is left.
pub const DRAIN_TICK: Duration = Duration::from_millis(100);

/// How long a device that was told to go may stay before its connection is closed. One with
/// sessions that knows no such word stays until the end.
pub const DRAIN_LEAVES: Duration = Duration::from_secs(5);

/// Seconds after which a device tries again that came to a node which drains.
pub const RETRY_ELSEWHERE: u32 = 1;

/// Seconds after which a device tries again whose other link may be at a gateway that is silent.
pub const RETRY_UNKNOWN: u32 = 3;

/// Longest interval between the pings of a device where several gateways work together, s: a
/// machine that vanishes without a reset is noticed by its next ping, and another gateway can take
/// the device.
pub const LONGEST_PING_OF_NODES: u32 = 120;

/// How often gateways tell each other of failures of strangers.
pub const FAILURES_AGAIN: Duration = Duration::from_secs(1);

/// A failure counts as often as there are gateways until it was told for this long: by then the
/// others have heard of it, or count all of their own so. Twice [`FAILURES_AGAIN`] and an answer of
/// the store.
pub const FAILURES_SETTLE: Duration = Duration::from_secs(3);

/// Tries that a source has at one gateway at the least before it is turned away, however many
/// gateways there are: so 5 gateways count as one, and each further one gives this many more tries
/// until it has heard.
pub const FEWEST_TRIES: u32 = 4;

/// Sources of one kind that a gateway tells of at a time, each as a row of about 100 bytes for
/// at most two of [`super::FAILURE_WINDOW`]. Of four kinds, a gateway has at most 30,720 rows.
pub const MAX_FAILURES_TOLD: usize = 64;

/// Sources of one kind that a gateway hears of at a time: those that failed most. 64 bytes each.
pub const MAX_FAILURES_HEARD: i64 = 4096;

/// Rounds of telling between two looks for rows that count no more.
pub const PRUNE_FAILURES: u32 = 30;
/// Such rows that one statement removes: some 10 ms, in which nobody else writes.
pub const PRUNED_AT_ONCE: u32 = 1000;
/// Such statements of one look.
pub const PRUNED_PARTS: u32 = 64;
