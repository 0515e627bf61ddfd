//! Command outputs in the archive: where they wait, and what the node's chain records of them.
//!
//! Data flow: Run Command writes outputs below [`Recorder::outputs_folder`], calls
//! [`Recorder::record_output`] for each, and moves it to the outbox.
//!
//! # Not here
//! - Writing outputs. An output is kept whatever `recording` says: it is the command's result.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use towline_evidence::digest::Running;
use towline_evidence::node::What;

use super::output_logs::{self, Note};
use crate::recorder::{Recorder, free};

impl Recorder {
    /// Folder of outputs that are still arriving.
    #[must_use]
    pub fn outputs_folder(&self) -> PathBuf {
        self.settings.home.join("commands")
    }

    /// Where a file lies that has not reached the sink: in the outbox, or in quarantine.
    #[must_use]
    pub fn unsent(&self, key: &str) -> [PathBuf; 2] {
        let aside = self.settings.home.join("quarantine").join(key.replace('/', "__"));
        [self.outbox_folder().join(key), aside]
    }

    /// What the keys of outputs begin with when their command names no bucket.
    #[must_use]
    pub fn outputs_prefix(&self) -> String {
        let prefix = self.settings.prefix.trim_end_matches('/');
        let commands = towline_evidence::layout::OUTPUTS;
        if prefix.is_empty() { commands.to_owned() } else { format!("{prefix}/{commands}") }
    }

    /// Whether there is disk space for more output; the floor is that of recordings.
    #[must_use]
    pub fn has_disk_space(&self) -> bool {
        free(&self.settings.home).is_ok_and(|free| free >= self.settings.free_space_floor)
    }

    /// Name of the bucket, if the sink is a bucket.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        self.s3().map(|s3| s3.bucket.as_str())
    }

    /// Records an output's digest in the node's chain.
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

    /// Whether outputs can be sent to CloudWatch Logs.
    #[must_use]
    pub const fn has_cloudwatch(&self) -> bool {
        self.settings.cloudwatch.is_some()
    }

    /// Queues an output for CloudWatch Logs. Its first name may be removed afterwards.
    ///
    /// # Errors
    /// The disk's.
    pub fn queue_output(&self, path: &Path, note: &Note) -> std::io::Result<()> {
        output_logs::enqueue(&self.settings.home, path, note)
    }

    /// Tells the outbox that a file is there.
    pub fn wake_outbox(&self) {
        self.finished.notify_one();
    }
}
