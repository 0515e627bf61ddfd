//! What each write on a server begins with: the writers' lock, and the proof that this gateway may
//! write.

/// Begins a transaction that holds the writers' lock: the number is "towline" in ASCII.
pub(super) const WRITING: &str = "BEGIN; SELECT pg_advisory_xact_lock(32774914104782437)";
/// The same lock for as long as a connection lasts: while the schema is changed.
pub(crate) const LOCK_WRITERS: &str = "SELECT pg_advisory_lock(32774914104782437)";
/// Gives it back.
pub(crate) const UNLOCK_WRITERS: &str = "SELECT pg_advisory_unlock(32774914104782437)";
/// The server's state when the guard fails: division by zero, which no statement of the store does.
pub(super) const NOT_OURS: &str = "22012";

/// What each write has to prove first: the words of the statement, and what its failure means.
#[derive(Debug, Clone)]
pub(crate) struct WriteGuard {
    pub(super) statement: String,
    pub(super) refusal: &'static str,
}
