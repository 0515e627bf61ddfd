//! Bounds of command documents.

/// Largest script of one step, bytes, with all its parameters in place: what an agent takes in one
/// buffer. AWS's documents have at most 64 KiB as well.
pub const MAX_SCRIPT: usize = 64 * 1024;
/// Largest sum of a command's scripts, bytes: a command is kept as one row.
pub(super) const MAX_SCRIPTS: usize = 2 * 1024 * 1024;
/// Most steps of one document; AWS documents no number.
pub const MAX_STEPS: usize = 100;
/// Most parameters of one document. AWS's limit.
pub const MAX_PARAMETERS: usize = 200;
/// Longest `timeoutSeconds` of a step, as at AWS: two days.
pub const MAX_TIMEOUT: u32 = 172_800;
/// Seconds that a step may take when its document does not say.
pub const DEFAULT_TIMEOUT: u32 = 3600;
