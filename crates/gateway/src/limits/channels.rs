//! Limits of data channels, of viewers, and of users who join a session: names of
//! [`crate::limits`].

use std::time::Duration;

/// Time for the opening frame.
pub const AWS_FIRST_MESSAGE: Duration = Duration::from_secs(15);

/// Bytes of output taken from the session at once.
pub const AWS_CHANNEL_BATCH: usize = 64 * 1024;

/// How long a client may take nothing of what is sent to it.
pub const AWS_CHANNEL_STALLED: Duration = Duration::from_secs(90);

/// How long the websocket is not read while the device takes no more input. These clients have no
/// flow control but TCP's, and repeat a dropped message only every 100 ms. Not for ever: their
/// acknowledgements, without which output stops, come on the same websocket, and a device that
/// shows no output may take no input.
pub const AWS_READ_PAUSE: Duration = Duration::from_millis(100);

/// Rounds that may wait for the disk at once, gateway-wide. Each takes one of the runtime's 512
/// threads for that; who finds no place waits without one.
pub const AWS_JOURNAL_WRITERS: usize = 128;

/// When nothing is due, the loop looks around so often.
pub const AWS_IDLE_TICK: Duration = Duration::from_secs(30);

/// Output on its way to one client, bytes a lane. At 50 ms of round trip this is 5 MB/s.
pub const AWS_WINDOW: u32 = 256 * 1024;

/// Input that the device has not taken yet, bytes.
pub const AWS_INPUT_RING: usize = 64 * 1024;

/// Longest client id that is kept. Those of AWS are UUIDs.
pub const MAX_AWS_CLIENT_ID: usize = 128;

/// Time for the first message.
pub const CHANNEL_FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// Bytes written at once; what comes meanwhile waits for no more than this.
pub const CHANNEL_BATCH: usize = 32 * 1024;

/// How long a client may take nothing of what is sent to it.
pub const CHANNEL_STALLED: Duration = Duration::from_secs(90);

/// Silence after which the client is pinged, and after two of which it is gone.
pub const CHANNEL_PING_EVERY: Duration = Duration::from_secs(30);

/// Bytes of a client that are read at once. The library zeroes and keeps so many for each client,
/// 128 KiB unless told.
pub const CHANNEL_READ_AHEAD: usize = 16 * 1024;

// ---- Viewers and joiners

/// The end of the output of a session with a terminal that is kept for a viewer who comes, bytes:
/// some screens of text, or the drawing of a full screen with colours.
pub const TAIL_BYTES: usize = 64 * 1024;

/// Pieces that it is kept in: more are joined to one.
pub const TAIL_PIECES: usize = 256;

/// Sessions that one user watches at once.
pub const MAX_WATCHES: usize = 16;

/// How long who has the seat of a session is asked whether another user gets it: less than clients
/// wait for an answer.
pub const SEAT_PATIENCE: Duration = Duration::from_secs(25);

/// Clients of AWS's dialect that a session remembers because another client took its seat. Each has
/// a name of less than 4 KiB; one that is forgotten takes the seat back when it returns.
pub const SEATS_LEFT: usize = 8;

/// How often the right of a viewer is looked at again. It ends within a second after its right.
pub const WATCH_RIGHT_EVERY: Duration = Duration::from_millis(400);
const _: () = assert!(WATCH_RIGHT_EVERY.as_millis() <= 500);

/// How often sessions are looked at that granted access permits: one statement over an index of
/// these sessions alone.
pub const ACCESS_END_EVERY: Duration = Duration::from_secs(1);

/// Time before the end of granted access at which the user of a session is told.
pub const ACCESS_END_LEADS: [Duration; 3] =
    [ACCESS_END_NEAR, Duration::from_secs(5 * 60), Duration::from_secs(60)];

/// The first of them. A client that attaches later than that is told at once.
pub const ACCESS_END_NEAR: Duration = Duration::from_secs(15 * 60);

/// Viewers of one session. Each may have [`VIEWER_BYTES`] waiting: 2 MiB a session at the most.
pub const MAX_VIEWERS: usize = 8;

/// Output that may wait for one viewer, bytes: some screens of text; a viewer that is slower misses
/// bytes and is told how many.
pub const VIEWER_BYTES: usize = 256 * 1024;

/// Pieces of output that may wait for one viewer: bounds what tiny pieces cost beside their bytes.
pub const VIEWER_ITEMS: usize = 1024;
