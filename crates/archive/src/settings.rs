//! What `[evidence]` in `gateway.toml` says, and what it means.
//!
//! Way: [`RawEvidence`] (the file's words) -> [`Settings`] (checked). A gateway without the section
//! records to the folder `evidence` of its directory, and goes on when it cannot: evidence that is
//! demanded is asked for by name.
//!
//! # Not here
//! - Secrets: access to S3 comes from a file that is named here, or from the environment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whether sessions are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Nothing is recorded.
    Off,
    /// Recorded; where that fails the session goes on and the hole is marked.
    #[default]
    Wanted,
    /// Recorded, or there is no session.
    Demanded,
}

/// What becomes of a running session whose recording is demanded and fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFailing {
    /// It is ended.
    #[default]
    EndSession,
    /// It goes on, and the hole is marked.
    MarkGap,
}

/// The section, word for word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvidence {
    /// `off`, `wanted` (default) or `demanded`.
    pub recording: Demand,
    /// `end-session` (default) or `mark-gap`; for demanded recordings.
    pub when_failing: WhenFailing,
    /// Name of this node in its chain; `gateway` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Largest recording, MiB after compression; 256 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_recording_mib: Option<u64>,
    /// Most that may wait on this disk for the sink, MiB; 4096 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staged_mib: Option<u64>,
    /// Below so much free space, MiB, nothing is recorded; 256 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_space_floor_mib: Option<u64>,
    /// Seconds between checkpoints while something happens; 60 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_seconds: Option<u64>,
    /// Days after which recordings and audit files are removed; never when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u64>,
    /// MiB of recordings and audit files beyond which the oldest are removed; never when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_mib: Option<u64>,
    /// Folder of the sink, if it is not `records` in the folder `evidence`. Not together with `s3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// A bucket as sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// CloudWatch Logs, beside the sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch: Option<CloudWatch>,
}

/// CloudWatch Logs, word for word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudWatch {
    /// Log group of all sessions; without it, only sessions whose preferences name one go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// While sessions go on (JSON, default), or text at their end.
    #[serde(default = "yes")]
    pub streaming: bool,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Endpoint URL of a server that is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Access key; without it, `AWS_ACCESS_KEY_ID` and its siblings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// File that holds the secret of that key, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key_file: Option<PathBuf>,
}

const fn yes() -> bool {
    true
}

/// A bucket, word for word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// Its name.
    pub bucket: String,
    /// What keys begin with (`s3KeyPrefix` of session documents).
    #[serde(default)]
    pub prefix: String,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Endpoint URL of a server that is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// `AES256` or `aws:kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_encryption: Option<String>,
    /// Key for `aws:kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// `GOVERNANCE` or `COMPLIANCE`: each recording, audit file and segment of the chain is locked
    /// when it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock_mode: Option<String>,
    /// For so many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock_days: Option<u64>,
    /// Sends a SHA-256 of each object, which a bucket with Object Lock wants.
    #[serde(default)]
    pub checksum: bool,
    /// Access key; without it, `AWS_ACCESS_KEY_ID` and its siblings, or the host's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// File that holds the secret of that key, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key_file: Option<PathBuf>,
}

/// A sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkSettings {
    /// A folder.
    Directory(PathBuf),
    /// A bucket.
    S3(Box<S3>),
}

/// What the section means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether sessions are recorded.
    pub recording: Demand,
    /// What becomes of a demanded one that fails.
    pub when_failing: WhenFailing,
    /// Name of the node.
    pub node: String,
    /// Largest recording, bytes after compression.
    pub max_recording: u64,
    /// Most that may wait for the sink, bytes.
    pub max_staged: u64,
    /// Least free space, bytes.
    pub free_space_floor: u64,
    /// Time between checkpoints.
    pub checkpoint: Duration,
    /// Greatest age of what lies in the sink.
    pub retention: Option<Duration>,
    /// Greatest size of what lies in the sink, bytes.
    pub retention_bytes: Option<u64>,
    /// Where things go.
    pub sink: SinkSettings,
    /// CloudWatch Logs, if logs go there too.
    pub cloudwatch: Option<CloudWatch>,
    /// What keys begin with.
    pub prefix: String,
    /// Folder of what is under way.
    pub home: PathBuf,
}

const MIB: u64 = 1024 * 1024;

impl RawEvidence {
    /// What it means for a gateway with this directory.
    ///
    /// # Errors
    /// The key, its value, and what it should be.
    pub fn settings(&self, dir: &Path) -> Result<Settings, (&'static str, String, &'static str)> {
        let home = dir.join("evidence");
        let mib = |key, value: Option<u64>, default: u64| match value.unwrap_or(default) {
            0 => Err((key, "0".to_owned(), "MiB, at least 1")),
            n => Ok(n.saturating_mul(MIB)),
        };
        if let (Some(directory), Some(_)) = (&self.directory, &self.s3) {
            return Err((
                "evidence.directory",
                directory.display().to_string(),
                "either a directory or s3",
            ));
        }
        if let Some(s3) = self
            .s3
            .as_ref()
            .filter(|s3| s3.access_key_id.is_some() != s3.secret_access_key_file.is_some())
        {
            let key = s3.access_key_id.clone().unwrap_or_default();
            return Err((
                "evidence.s3.access_key_id",
                key,
                "given together with secret_access_key_file",
            ));
        }
        if let Some(s3) = &self.s3 {
            s3.check()?;
        }
        if let Some(logs) = self
            .cloudwatch
            .as_ref()
            .filter(|l| l.access_key_id.is_some() != l.secret_access_key_file.is_some())
        {
            let key = logs.access_key_id.clone().unwrap_or_default();
            return Err((
                "evidence.cloudwatch.access_key_id",
                key,
                "given together with secret_access_key_file",
            ));
        }
        let node = self.node.clone().unwrap_or_else(|| "gateway".to_owned());
        if node.is_empty()
            || node.len() > 64
            || !node.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err(("evidence.node", node, "1 to 64 letters, digits, hyphens or underscores"));
        }
        Ok(Settings {
            recording: self.recording,
            when_failing: self.when_failing,
            node,
            max_recording: mib("evidence.max_recording_mib", self.max_recording_mib, 256)?,
            max_staged: mib("evidence.max_staged_mib", self.max_staged_mib, 4096)?,
            free_space_floor: self.free_space_floor_mib.unwrap_or(256).saturating_mul(MIB),
            checkpoint: Duration::from_secs(self.checkpoint_seconds.unwrap_or(60).max(1)),
            retention: self
                .retention_days
                .map(|days| Duration::from_secs(days.saturating_mul(86_400))),
            retention_bytes: self.retention_mib.map(|n| n.saturating_mul(MIB)),
            prefix: self.s3.as_ref().map(|s3| s3.prefix.clone()).unwrap_or_default(),
            sink: match &self.s3 {
                Some(s3) => SinkSettings::S3(Box::new(s3.clone())),
                None => SinkSettings::Directory(
                    self.directory.clone().unwrap_or_else(|| home.join("records")),
                ),
            },
            cloudwatch: self.cloudwatch.clone(),
            home,
        })
    }
}

impl S3 {
    fn check(&self) -> Result<(), (&'static str, String, &'static str)> {
        if let Some(mode) = self
            .object_lock_mode
            .as_ref()
            .filter(|mode| !["GOVERNANCE", "COMPLIANCE"].contains(&mode.as_str()))
        {
            return Err(("evidence.s3.object_lock_mode", mode.clone(), "GOVERNANCE or COMPLIANCE"));
        }
        if self.object_lock_mode.is_some() != self.object_lock_days.is_some_and(|days| days > 0) {
            let days = self.object_lock_days.unwrap_or(0).to_string();
            return Err((
                "evidence.s3.object_lock_days",
                days,
                "1 or more, together with object_lock_mode",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_without_the_section_records_into_its_own_directory() {
        let settings = RawEvidence::default().settings(Path::new("/gw")).unwrap();
        assert_eq!(settings.sink, SinkSettings::Directory("/gw/evidence/records".into()));
        assert_eq!((settings.recording, settings.max_recording), (Demand::Wanted, 256 * MIB));
    }

    #[test]
    fn a_value_that_cannot_be_is_refused_by_its_key() {
        let refused = |text: &str| {
            toml::from_str::<RawEvidence>(text).unwrap().settings(Path::new("/gw")).unwrap_err().0
        };
        assert_eq!(refused("max_recording_mib = 0"), "evidence.max_recording_mib");
        assert_eq!(refused("node = 'a/b'"), "evidence.node");
        assert_eq!(refused("directory = '/x'\ns3 = { bucket = 'b' }"), "evidence.directory");
        assert_eq!(
            refused("s3 = { bucket = 'b', access_key_id = 'AKIA' }"),
            "evidence.s3.access_key_id"
        );
        assert_eq!(
            refused("s3 = { bucket = 'b', object_lock_mode = 'FOREVER' }"),
            "evidence.s3.object_lock_mode"
        );
        assert_eq!(
            refused("s3 = { bucket = 'b', object_lock_mode = 'COMPLIANCE' }"),
            "evidence.s3.object_lock_days"
        );
        assert_eq!(
            refused("cloudwatch = { access_key_id = 'AKIA' }"),
            "evidence.cloudwatch.access_key_id"
        );
        assert!(toml::from_str::<RawEvidence>("recordin = 'off'").is_err());
    }
}
