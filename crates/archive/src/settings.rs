//! The section `[evidence]` of `gateway.toml`: as written, and as checked.
//!
//! Data flow: [`RawEvidence`] (as written) -> [`Settings`] (checked, with defaults). A gateway
//! without the section records to the folder `evidence` of its directory, and sessions go on when
//! recording fails; `recording = "demanded"` changes that.
//!
//! # Not here
//! - Secrets: credentials come from a file that is named here, or from the environment.
//!
//! # Example
//! ```
//! use towline_archive::settings::{Demand, RawEvidence};
//!
//! let raw: RawEvidence = toml::from_str("recording = 'demanded'\nretention_days = 30")?;
//! let settings = raw.settings("/var/lib/towline-gateway".as_ref()).map_err(|wrong| wrong.0)?;
//! assert_eq!(settings.recording, Demand::Demanded);
//! assert_eq!(settings.home.to_str(), Some("/var/lib/towline-gateway/evidence"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::part::Part;

/// Name of the node where the configuration names none.
pub const DEFAULT_NODE: &str = "gateway";

/// Whether sessions are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Nothing is recorded.
    Off,
    /// Sessions are recorded. When that fails, the session goes on and the recording has a gap.
    #[default]
    Wanted,
    /// Sessions are recorded; without a recording there is no session.
    Demanded,
}

/// What happens to a running session when a demanded recording fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFailing {
    /// The session is ended.
    #[default]
    EndSession,
    /// The session goes on, and the recording has a gap.
    MarkGap,
}

/// The section as written.
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
    /// A part of a recording, MiB after compression; 256 when not given. Behind each part the
    /// recording is synced and signed, and goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_recording_mib: Option<u64>,
    /// All parts of one session's recording, MiB after compression; a quarter of `max_staged_mib`
    /// when not given, or one part if that is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_session_recording_mib: Option<u64>,
    /// MiB that may wait on this disk for delivery; 4096 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staged_mib: Option<u64>,
    /// MiB of disk space that must stay free; below that recording pauses. 256 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_space_floor_mib: Option<u64>,
    /// Seconds between two checkpoints while there are new records; 60 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_seconds: Option<u64>,
    /// Days after which recordings and audit files are removed; never when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u64>,
    /// MiB of recordings and audit files beyond which the oldest are removed; never when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_mib: Option<u64>,
    /// A folder as sink; `evidence/records` when not given. Not together with `s3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// A bucket as sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// CloudWatch Logs, beside the sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch: Option<CloudWatch>,
}

/// CloudWatch Logs, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudWatch {
    /// Log group of all sessions. Without it, only sessions whose preferences name one are logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Streamed while sessions run (JSON, default), or sent as text at their end.
    #[serde(default = "yes")]
    pub streaming: bool,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Endpoint URL of a server that is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Access key; without it, the environment's `AWS_ACCESS_KEY_ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// File that holds the secret of that key, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key_file: Option<PathBuf>,
}

const fn yes() -> bool {
    true
}

/// A bucket, as written.
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
    /// `GOVERNANCE` or `COMPLIANCE`: each object is locked after its upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock_mode: Option<String>,
    /// Days of the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock_days: Option<u64>,
    /// Sends a SHA-256 of each object; a bucket with Object Lock requires it.
    #[serde(default)]
    pub checksum: bool,
    /// Access key; without it, the environment's `AWS_ACCESS_KEY_ID`, or the host's role.
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

/// The section as checked, with defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether sessions are recorded.
    pub recording: Demand,
    /// What happens when a demanded recording fails.
    pub when_failing: WhenFailing,
    /// Name of the node.
    pub node: String,
    /// The chain that this node's goes on from, after a restore.
    pub follows: Option<Part>,
    /// A part of a recording, bytes after compression.
    pub max_part: u64,
    /// Largest recording, bytes after compression.
    pub max_recording: u64,
    /// Bytes that may wait for delivery.
    pub max_staged: u64,
    /// Bytes of disk space that must stay free.
    pub free_space_floor: u64,
    /// Time between checkpoints.
    pub checkpoint: Duration,
    /// Greatest age of an object in the sink.
    pub retention: Option<Duration>,
    /// Greatest size of all objects in the sink, bytes.
    pub retention_bytes: Option<u64>,
    /// Where finished files go.
    pub sink: SinkSettings,
    /// CloudWatch Logs, if logs are sent there.
    pub cloudwatch: Option<CloudWatch>,
    /// What keys begin with.
    pub prefix: String,
    /// Folder of files that are under way.
    pub home: PathBuf,
}

const MIB: u64 = 1024 * 1024;
/// A recording may take this part of what may wait for delivery, unless a setting says otherwise:
/// one session's noise leaves room for others.
const SESSION_SHARE: u64 = 4;

/// A wrong value: the key, the value, and what it should be.
pub type Wrong = (&'static str, String, &'static str);

impl RawEvidence {
    /// Checks the section and applies the defaults. `dir`: the gateway's directory.
    ///
    /// # Errors
    /// The key, its value, and what it should be.
    pub fn settings(&self, dir: &Path) -> Result<Settings, Wrong> {
        self.check()?;
        let home = dir.join("evidence");
        let max_part = mib("evidence.max_recording_mib", self.max_recording_mib, 256)?;
        let max_staged = mib("evidence.max_staged_mib", self.max_staged_mib, 4096)?;
        Ok(Settings {
            recording: self.recording,
            when_failing: self.when_failing,
            node: self.node.clone().unwrap_or_else(|| DEFAULT_NODE.to_owned()),
            follows: None,
            max_part,
            max_recording: match self.max_session_recording_mib {
                None => (max_staged / SESSION_SHARE).max(max_part),
                some => mib("evidence.max_session_recording_mib", some, 0)?,
            },
            max_staged,
            free_space_floor: self.free_space_floor_mib.unwrap_or(256).saturating_mul(MIB),
            checkpoint: Duration::from_secs(self.checkpoint_seconds.unwrap_or(60).max(1)),
            retention: self
                .retention_days
                .map(|days| Duration::from_secs(days.saturating_mul(86_400))),
            retention_bytes: self.retention_mib.map(|n| n.saturating_mul(MIB)),
            prefix: self.s3.as_ref().map(|s3| s3.prefix.clone()).unwrap_or_default(),
            sink: self.sink(&home),
            cloudwatch: self.cloudwatch.clone(),
            home,
        })
    }

    fn sink(&self, home: &Path) -> SinkSettings {
        match &self.s3 {
            Some(s3) => SinkSettings::S3(Box::new(s3.clone())),
            None => SinkSettings::Directory(
                self.directory.clone().unwrap_or_else(|| home.join("records")),
            ),
        }
    }

    fn check(&self) -> Result<(), Wrong> {
        if let (Some(directory), Some(_)) = (&self.directory, &self.s3) {
            let directory = directory.display().to_string();
            return Err(("evidence.directory", directory, "either a directory or s3"));
        }
        if let Some(s3) = &self.s3 {
            let key = "evidence.s3.access_key_id";
            key_and_secret(key, s3.access_key_id.as_ref(), s3.secret_access_key_file.as_ref())?;
            s3.check()?;
        }
        if let Some(logs) = &self.cloudwatch {
            let key = "evidence.cloudwatch.access_key_id";
            key_and_secret(key, logs.access_key_id.as_ref(), logs.secret_access_key_file.as_ref())?;
        }
        let is_name = |node: &&String| {
            let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (1..=64).contains(&node.len()) && node.bytes().all(good)
        };
        match self.node.as_ref().filter(|node| !is_name(node)) {
            Some(node) => Err((
                "evidence.node",
                node.clone(),
                "1 to 64 letters, digits, hyphens or underscores",
            )),
            None => Ok(()),
        }
    }
}

impl Settings {
    /// Takes the part that a restore has left into account.
    ///
    /// # Errors
    /// The disk's; a file that is not ours.
    pub fn take_part(&mut self) -> io::Result<()> {
        if let Some(part) = Part::read(&self.home)? {
            self.node = part.name(&self.node);
            self.follows = Some(part);
        }
        Ok(())
    }

    /// The name in the configuration, without the number of the part.
    #[must_use]
    pub fn configured_node(&self) -> &str {
        let suffix = self.follows.as_ref().map(|part| format!("-{}", part.part));
        suffix.and_then(|suffix| self.node.strip_suffix(&suffix)).unwrap_or(&self.node)
    }
}

/// A value of mebibytes, in bytes.
fn mib(key: &'static str, value: Option<u64>, default: u64) -> Result<u64, Wrong> {
    match value.unwrap_or(default) {
        0 => Err((key, "0".to_owned(), "MiB, at least 1")),
        n => Ok(n.saturating_mul(MIB)),
    }
}

/// An access key and the file of its secret come together or not at all.
fn key_and_secret(
    key: &'static str,
    id: Option<&String>,
    secret: Option<&PathBuf>,
) -> Result<(), Wrong> {
    if id.is_some() == secret.is_some() {
        return Ok(());
    }
    Err((key, id.cloned().unwrap_or_default(), "given together with secret_access_key_file"))
}

impl S3 {
    /// URL of the server, without a slash at its end.
    #[must_use]
    pub fn server(&self) -> String {
        let region = self.region.as_deref().unwrap_or("us-east-1");
        let server =
            self.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        server.trim_end_matches('/').to_owned()
    }

    fn check(&self) -> Result<(), Wrong> {
        let known = |mode: &&String| ["GOVERNANCE", "COMPLIANCE"].contains(&mode.as_str());
        if let Some(mode) = self.object_lock_mode.as_ref().filter(|mode| !known(mode)) {
            return Err(("evidence.s3.object_lock_mode", mode.clone(), "GOVERNANCE or COMPLIANCE"));
        }
        if self.object_lock_mode.is_some() != self.object_lock_days.is_some_and(|days| days > 0) {
            let days = self.object_lock_days.unwrap_or(0).to_string();
            let want = "1 or more, together with object_lock_mode";
            return Err(("evidence.s3.object_lock_days", days, want));
        }
        Ok(())
    }
}

/// Whether an endpoint is asked in plain text over a network.
fn is_plain(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let near = ["127.0.0.1", "[::1]", "localhost"];
    !near.iter().any(|near| host == *near || host.starts_with(&format!("{near}:")))
}

impl Settings {
    /// A sentence for each endpoint to which recordings would go in plain text.
    #[must_use]
    pub fn in_plain_text(&self) -> Vec<String> {
        let bucket = self.s3().and_then(|s3| s3.endpoint.as_deref());
        let logs = self.cloudwatch.as_ref().and_then(|logs| logs.endpoint.as_deref());
        let all = [("evidence.s3.endpoint", bucket), ("evidence.cloudwatch.endpoint", logs)];
        let told = |(key, endpoint): (&str, Option<&str>)| {
            let endpoint = endpoint.filter(|endpoint| is_plain(endpoint))?;
            Some(format!(
                "recordings cross the network in plain text ({key} is {endpoint}): use https"
            ))
        };
        all.into_iter().filter_map(told).collect()
    }
}

impl Settings {
    /// The bucket's settings, if the sink is a bucket.
    #[must_use]
    pub fn s3(&self) -> Option<&S3> {
        match &self.sink {
            SinkSettings::S3(s3) => Some(s3),
            SinkSettings::Directory(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_without_the_section_records_into_its_own_directory() {
        let settings = RawEvidence::default().settings(Path::new("/gw")).unwrap();
        assert_eq!(settings.sink, SinkSettings::Directory("/gw/evidence/records".into()));
        assert_eq!((settings.recording, settings.max_part), (Demand::Wanted, 256 * MIB));
        assert_eq!(settings.max_recording, 1024 * MIB);
    }

    #[test]
    fn an_endpoint_in_plain_text_is_complained_about_unless_it_is_on_this_machine() {
        for (endpoint, told) in [
            ("http://minio.example:9000", 1),
            ("http://127.0.0.1.evil.example", 1),
            ("https://minio.example", 0),
            ("http://127.0.0.1:9000", 0),
            ("http://localhost/", 0),
            ("http://[::1]:9000", 0),
        ] {
            let text = format!("s3 = {{ bucket = 'b', endpoint = '{endpoint}' }}");
            let raw = toml::from_str::<RawEvidence>(&text).unwrap();
            let all = raw.settings(Path::new("/gw")).unwrap().in_plain_text();
            assert_eq!(all.len(), told, "{endpoint}: {all:?}");
        }
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_key() {
        let refused = |text: &str| {
            toml::from_str::<RawEvidence>(text).unwrap().settings(Path::new("/gw")).unwrap_err().0
        };
        assert_eq!(refused("max_recording_mib = 0"), "evidence.max_recording_mib");
        let of = "evidence.max_session_recording_mib";
        assert_eq!(refused("max_session_recording_mib = 0"), of);
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
