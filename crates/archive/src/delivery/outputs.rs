//! Outputs of commands on their way through the evidence: where they wait, and what the node's
//! chain says of them.
//!
//! Way: [`crate::commands`] writes them below [`Recorder::outputs`], then has each one noted by
//! [`Recorder::record_output`] and moves it into the outbox.
//!
//! # Not here
//! - Writing them: a command's output is kept whatever `recording` says, since it is what the
//!   command was sent for.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use towline_evidence::digest::Running;
use towline_evidence::node::What;

use crate::delivery::output_logs::{self, Note};
use crate::recorder::recorder::Recorder;
use crate::recorder::staging::free_space;

impl Recorder {
    /// Folder of outputs that are still coming.
    #[must_use]
    pub fn outputs_folder(&self) -> PathBuf {
        self.settings.home.join("commands")
    }

    /// What keys of outputs begin with when their command names no bucket.
    #[must_use]
    pub fn outputs_prefix(&self) -> String {
        let prefix = self.settings.prefix.trim_end_matches('/');
        let commands = towline_evidence::layout::OUTPUTS;
        if prefix.is_empty() { commands.to_owned() } else { format!("{prefix}/{commands}") }
    }

    /// Whether there is room for more output: the same floor as for recordings.
    #[must_use]
    pub fn has_disk_space(&self) -> bool {
        free_space(&self.settings.home).is_ok_and(|free| free >= self.settings.free_space_floor)
    }

    /// The bucket that objects go to, if they go to one.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        self.s3().map(|s3| s3.bucket.as_str())
    }

    /// Writes an output's digest into the node's chain.
    ///
    /// # Errors
    /// The disk's.
    pub fn record_output(&self, key: &str, path: &Path) -> std::io::Result<()> {
        let (mut file, mut digest, mut bytes) = (File::open(path)?, Running::new(), 0);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            digest.update(&buffer[..n]);
            bytes += n as u64;
        }
        self.record(What::File {
            object: key.to_owned(),
            sha256: digest.finish(),
            bytes,
            records: 0,
        })
    }

    /// Whether outputs can go to CloudWatch Logs.
    #[must_use]
    pub const fn has_cloudwatch(&self) -> bool {
        self.settings.cloudwatch.is_some()
    }

    /// Keeps an output for CloudWatch Logs as well; from there on its first name may go.
    ///
    /// # Errors
    /// The disk's.
    pub fn queue_output(&self, path: &Path, note: &Note) -> std::io::Result<()> {
        output_logs::keep(&self.settings.home, path, note)
    }

    /// Something is in the outbox.
    pub fn wake_outbox(&self) {
        self.finished.notify_one();
    }
}
