//! What is to be written, as the caller knows it.

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Permission bits of a new file, after the umask.
    pub mode: u32,
    /// Bytes that the content will have. Without it nothing is kept of a copy that breaks off.
    pub size: Option<u64>,
    /// By which the partial file of the same content is found again.
    pub mark: &'a str,
}
