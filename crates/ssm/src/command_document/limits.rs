//! Bounds of command documents.

/// Largest script of one step, bytes, with all its parameters in place: what an agent takes in one
/// buffer. AWS's documents have at most 64 KiB as well.
pub const MAX_SCRIPT: usize = 64 * 1024;
/// Most steps of one document.
pub const MAX_STEPS: usize = 32;
/// Most parameters of one document.
pub const MAX_PARAMETERS: usize = 64;
/// Longest `timeoutSeconds` of a step, as at AWS: two days.
pub const MAX_TIMEOUT: u32 = 172_800;
/// Seconds that a step may take when its document does not say.
pub const DEFAULT_TIMEOUT: u32 = 3600;
