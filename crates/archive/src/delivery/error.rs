//! Why a sink cannot be used, or an object cannot be written.

/// Why a sink cannot be used, or an object cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The settings.
    #[error("cannot open the sink: {0}")]
    Settings(String),
    /// The file to send.
    #[error("cannot read the file to send: {0}")]
    Local(#[from] std::io::Error),
    /// The object was sent, but is not locked.
    #[error("sent, but cannot be locked: {0}")]
    Lock(String),
    /// The server or folder.
    #[error("{0}")]
    Store(#[from] object_store::Error),
}

impl SinkError {
    /// Whether the server understood and refused. Trying again is of no use until somebody changes
    /// something.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        matches!(
            self,
            Self::Settings(_)
                | Self::Store(NotFound { .. } | PermissionDenied { .. } | Unauthenticated { .. })
        )
    }
}
