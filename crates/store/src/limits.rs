//! Every constant of the store that bounds memory, time or count: rows of each table, connections,
//! waiting times.
//!
//! A table that would pass its bound refuses the new row ([`crate::StoreError::Full`]) or drops its
//! oldest ended rows; each constant says which.
//!
//! # Not here
//! - Bounds that the caller passes in (rows of the audit trail and of the command log): the
//!   gateway's `limits.rs`.

use std::time::Duration;

use towline_ssm::api::admin::{MAX_ACCESS_KEYS_PER_USER, MAX_POLICIES_PER_USER};

/// Connections to the embedded store. SQLite has one writer; more readers than this gain nothing on
/// small hosts.
pub const STORE_CONNECTIONS: u32 = 4;

/// Connections that serve searches of the audit trail: a search never keeps another call waiting.
pub const SEARCH_CONNECTIONS: u32 = 2;

/// Connections of one gateway to a database server, those for searches apart.
pub const SERVER_CONNECTIONS: u32 = 8;

/// How long a statement waits for a database server before it is an error.
pub const SERVER_PATIENCE: Duration = Duration::from_secs(5);

/// The same for a search, which reads much.
pub const SERVER_SEARCH_PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at the connection that holds a gateway's place at a server.
pub const PLACE_LOOK: Duration = Duration::from_secs(2);

/// Between two tries to take a place again whose connection broke: before a gateway that waits
/// does.
pub const PLACE_AGAIN: Duration = Duration::from_millis(200);

/// Between two renewals of a node's lease.
pub const NODE_RENEW: Duration = Duration::from_secs(2);

/// How long a lease holds after a renewal, by the clock of the database. A node whose lease is over
/// by then may be declared dead by another one that has had its own for so long.
pub const NODE_LEASE: Duration = Duration::from_secs(8);

/// By how much the database's clock may go on otherwise than the one of a node's process between
/// two renewals of its lease, beside what the way takes: a clock that is being set right slowly
/// does by less. Far less than what a lease has left when it is to be renewed.
pub const DATABASE_CLOCK: Duration = Duration::from_secs(1);

const _: () = assert!(
    NODE_RENEW.as_millis() + 2 * DATABASE_CLOCK.as_millis() < NODE_LEASE.as_millis(),
    "a clock that differs unnoticed would make leases over that are renewed in time"
);

/// Nodes of one store.
pub const MAX_NODES: i64 = 64;

/// Tokens for further gateways that are alive at once.
pub const MAX_INVITATIONS: i64 = 64;

/// How long the schema of a server may take to be brought up to date: other gateways may be at it.
pub const SERVER_UPGRADE: Duration = Duration::from_secs(600);

/// How long a step of the schema waits for a table that somebody reads (a backup): who comes later
/// waits behind the step. A renewal of a lease that waits for it must end within its own
/// [`SERVER_PATIENCE`], with time for another step and for the way to the server.
pub const SERVER_TABLE_WAIT: Duration = Duration::from_secs(2);

const _: () = assert!(
    2 * SERVER_TABLE_WAIT.as_millis() < SERVER_PATIENCE.as_millis(),
    "a step that waits for the table of the nodes would let all renewals of leases fail together"
);

/// How often a page of sessions is read on because rows of it cannot be read: from there on it is
/// a short page.
pub const UNREADABLE_ROUNDS: u32 = 8;

/// Sessions that this version cannot read and that are known at once.
pub const MAX_UNREADABLE: usize = 4096;

/// Rows that one statement removes: the writer's lock is free again after some milliseconds.
pub const REMOVED_AT_ONCE: i64 = 2000;

/// Rows that one statement copies to the other engine. A row of text has some 100 KiB at the most.
pub const COPIED_AT_ONCE: i64 = 200;

/// Looks at the files of a copy that is being closed, and the pause between two of them.
pub const CLOSED_LOOKS: u32 = 100;
/// That pause.
pub const CLOSED_AGAIN: Duration = Duration::from_millis(20);

/// How long a writer of this process waits for its turn at the file before it is an error.
pub const STORE_TURN: Duration = Duration::from_secs(30);

/// How long a statement waits for the writer's lock before it is an error.
pub const STORE_BUSY: Duration = Duration::from_secs(10);

/// Devices whose search text one transaction writes, when an older version has written none.
pub const SEARCH_TEXTS_AT_ONCE: i64 = 1000;

/// Devices one gateway keeps (also bounds what an activation can create).
pub const MAX_DEVICES: i64 = 100_000;

/// Activations kept. AWS has no documented number; ten thousand is a script gone wrong.
pub const MAX_ACTIVATIONS: i64 = 10_000;

/// Principals kept. AWS IAM's default quota of users is 5000.
pub const MAX_PRINCIPALS: i64 = 5_000;

/// Access keys of one principal. AWS IAM's quota is 2, so that keys can be rotated.
pub const MAX_ACCESS_KEYS: i64 = MAX_ACCESS_KEYS_PER_USER as i64;

/// Policies of one principal.
pub const MAX_POLICIES: i64 = MAX_POLICIES_PER_USER as i64;

/// Bytes of policy text of one principal, all together. 20 managed policies of 6144 characters are
/// 120 KiB; most of that is white space in practice, and parsed policies cost several times their
/// text in the cache.
pub const MAX_POLICY_BYTES: i64 = 64 * 1024;

/// Sign-ins of one access key or person: some browsers of hers; more is a script that should sign
/// its requests.
pub const MAX_SIGN_INS_OF_ROOT: i64 = 32;

/// Programs of one person whose sign-ins a provider renews: her machines.
pub const MAX_RENEWALS_OF_PERSON: i64 = 16;

/// Sign-ins through providers that are answered in the ten minutes of an attempt: about 100 bytes
/// each, and more in the minute in which credentials wait.
pub const MAX_SIGN_INS_UNDER_WAY: i64 = 10_000;

/// Identity providers: a company has a few, and each CI system is one.
pub const MAX_IDENTITY_PROVIDERS: i64 = 100;

/// People and jobs of identity providers, about 200 bytes each. Jobs of pull requests have subjects
/// of their own; the oldest of the provider that has most make room.
pub const MAX_FEDERATED_PEOPLE: i64 = 20_000;

/// Those of one provider: the others have places left, whatever subjects it makes up.
pub const MAX_PEOPLE_OF_PROVIDER: i64 = MAX_FEDERATED_PEOPLE * 9 / 10;

/// Groups of one user: IAM's quota is 10.
pub const MAX_GROUPS_OF_USER: i64 = 10;

/// Keys of one device on record: rotations keep the old rows, about 300 bytes each.
pub const MAX_KEYS_OF_DEVICE: i64 = 100;

/// Members of a group that are listed, for people to read.
pub const MAX_MEMBERS_LISTED: i64 = 1000;

/// Wrong codes of a second factor in a row, after which none is taken for a time.
pub const SECOND_FACTOR_FAILURES: i64 = 5;

/// That time: 5 guesses of a million in 5 minutes.
pub const SECOND_FACTOR_PAUSE: Duration = Duration::from_secs(300);

/// Receivers of notifications.
pub const MAX_WEBHOOKS: i64 = 20;

/// Notifications kept for one receiver, about 1 KiB each; the oldest makes room.
pub const MAX_NOTIFICATIONS: i64 = 10_000;

/// Minutes until an idle session ends unless a setting says otherwise: the default of AWS's session
/// preferences.
pub const DEFAULT_IDLE_MINUTES: u64 = 20;

/// Greatest number of minutes of both session settings: what AWS allows for the maximum duration.
pub const GREATEST_MINUTES: u64 = 1440;

/// Access requests kept, decided ones included. At most 1 KiB each in practice.
pub const MAX_ACCESS_REQUESTS: i64 = 10_000;

/// Requests of one person that have not expired, decided ones included: an automatic policy, or the
/// right to break the glass, must not fill the table for all others.
pub const MAX_REQUESTS_OF_PERSON: i64 = 500;

/// Requests of one principal that nobody has decided about.
pub const MAX_PENDING_REQUESTS: i64 = 10;

/// Own documents kept. AWS's quota; with [`MAX_DOCUMENT_VERSIONS`] of 64 KiB each the table could
/// take 3 GB at the very most.
pub const MAX_DOCUMENTS: i64 = 500;

/// Policies of manual approval. AWS's quota; all of them are read for each request for access.
pub const MAX_MANUAL_APPROVAL_POLICIES: i64 = 50;

/// Versions of one document. AWS allows 1000; a hundred is a history that people still read.
pub const MAX_DOCUMENT_VERSIONS: i64 = 100;

/// Tags of one resource: the AWS quota is 50.
pub const MAX_TAGS: usize = 50;

/// Ended sessions kept for `DescribeSessions` History, days. The AWS service documents 30 days of
/// history.
pub const SESSION_HISTORY_DAYS: i64 = 30;

/// Ended commands kept for the lists, days. The AWS service keeps its command history for 30 days.
pub const COMMAND_HISTORY_DAYS: i64 = 30;

/// Removed devices whose tags are kept for their recordings, beyond those that commands need. About
/// 300 bytes each: 15 MB.
#[cfg(not(test))]
pub const REMOVED_DEVICES: i64 = 50_000;
/// Of a test.
#[cfg(test)]
pub const REMOVED_DEVICES: i64 = 1;

/// Commands kept at all; the oldest ended ones make room. Half of them may be of one person. Some
/// 2 KiB each, and up to 64 KiB of script.
pub const MAX_COMMANDS: i64 = 20_000;

/// Invocations that one statement adds.
pub const INVOCATIONS_AT_ONCE: usize = 500;

/// Commands on single devices that are not over yet, all commands together; half of them may be of
/// one person. Each costs some 300 bytes of memory.
pub const MAX_OPEN_INVOCATIONS: i64 = 100_000;

/// Unused links of the server that sign in, of one gateway; a further one voids the oldest.
pub const MAX_SIGN_IN_LINKS: i64 = 16;

/// Sign-in requests of programs that wait: some 2 KiB each.
pub const MAX_SIGN_IN_REQUESTS: i64 = 256;

/// Those of one source: people behind one address.
pub const MAX_SIGN_IN_REQUESTS_OF_SOURCE: i64 = 8;
