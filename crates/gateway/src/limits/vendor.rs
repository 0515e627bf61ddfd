//! Limits of devices with amazon-ssm-agent: names of [`crate::limits`].

use std::time::Duration;

/// Life of the keys that are issued to a device with amazon-ssm-agent. It renews them at half of
/// it.
pub const VENDOR_KEY_LIFE: Duration = Duration::from_secs(3600);

/// The same for a device that waits for a person: it is back soon after the approval.
pub const VENDOR_WAITING_KEY_LIFE: Duration = Duration::from_secs(300);

/// Longest security token of a device, and longest token of one of its channels, bytes.
pub const MAX_VENDOR_TOKEN: usize = 1024;

/// How old the last sign of life of such a device is when a report without news is written.
pub const VENDOR_HEALTH_EVERY: Duration = Duration::from_secs(1800);

/// How long a poll of the older message service waits. The agent asks again at once.
pub const VENDOR_LONG_POLL: Duration = Duration::from_secs(20);

/// Sessions of one device with amazon-ssm-agent at a time.
pub const VENDOR_SESSIONS: u32 = 32;

/// Orders that may wait for one control channel, bytes: two of the largest.
pub const VENDOR_CONTROL_BYTES: usize = 256 * 1024;

/// Silence after which a websocket of an agent is dead. It pings each 54 s.
pub const VENDOR_SILENCE: Duration = Duration::from_secs(150);

/// How long a control channel waits for its device to be this gateway's: until a gateway that was
/// lost is declared dead (8 to 10 s), its sessions are taken over, and more.
pub const VENDOR_CLAIM: Duration = Duration::from_secs(30);

/// Between two looks at that, and before a channel is closed that cannot come here: the agent opens
/// the next one at once. A half more or less, so that not all look together.
pub const VENDOR_CLAIM_AGAIN: Duration = Duration::from_secs(1);

/// Channels that wait so at a time. Each look is a write of the store, of which it does some
/// thousands a second; a channel has some 20 KiB.
pub const VENDOR_WAITING: usize = 1024;

/// How often the channel that is there is asked whether it lives, when others come meanwhile.
pub const VENDOR_PROBES: u32 = 3;

/// How long an agent may take to take a message in.
pub const VENDOR_STALLED: Duration = Duration::from_secs(60);

/// Bytes that are read ahead on a websocket of an agent: an idle one costs little.
pub const VENDOR_READ_AHEAD: usize = 4 * 1024;

/// Input that may wait for the agent, bytes a session.
pub const VENDOR_INPUT: u32 = 64 * 1024;

/// Signals that may wait for the agent.
pub const VENDOR_SIGNALS: usize = 64;

/// Output that the agent has sent and the client has not taken, bytes a lane.
pub const VENDOR_RING: usize = 256 * 1024;

/// How long one half of a session's end waits for the other, which comes by another channel.
pub const VENDOR_END_WAIT: Duration = Duration::from_secs(2);

/// How long messages of an agent that has said that it ends may put the end off, in all. What it
/// has sent is on its way for as long as its link is slow; time in which the client takes nothing
/// does not count.
pub const VENDOR_END_MOST: Duration = Duration::from_secs(60);

/// How long a session without a websocket of its agent is not said to wait for its device.
pub const VENDOR_LOST_WAIT: Duration = Duration::from_millis(500);

/// How long the end of a job that was stopped is awaited.
pub const VENDOR_CANCEL_WAIT: Duration = Duration::from_secs(10);

/// How long after its first order a job may be ordered again. The agent knows a job by its name for
/// 30 minutes; after that it would run it a second time.
pub const VENDOR_JOB_KNOWN: Duration = Duration::from_secs(25 * 60);

/// When a job that the agent has not taken is ordered again: an agent that starts drops jobs in
/// silence.
pub const VENDOR_ORDER_AGAIN: Duration = Duration::from_secs(5);

/// How long a last reply that no task awaits stays with the agent: the scheduler may order it
/// again.
pub const VENDOR_REPLY_WAIT: Duration = Duration::from_secs(600);

/// How often it is looked whether the sessions of a device that is removed are over.
pub const VENDOR_TICK: Duration = Duration::from_millis(50);
