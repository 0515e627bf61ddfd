//! Placeholder header, replaced by its first real commit.
#![forbid(unsafe_code)]
