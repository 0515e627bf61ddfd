//! Where a session's output goes besides its sealed recording, and the URLs of those places.
//!
//! # Invariants
//! - A destination that preferences name and this gateway cannot write to is refused before the
//!   session begins: a log that is asked for and silently missing is worse than no session.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use towline_evidence::layout;
use towline_ssm::api::session::SessionManagerOutputUrl;
use towline_ssm::documents::preferences::SessionPreferences;

use crate::settings::{Demand, Settings};
use crate::spool::{self, CLOUDWATCH, COPIES};

/// The log group of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGroup {
    /// Its name.
    pub group: String,
    /// Whether the log is streamed while the session runs (JSON), or sent at its end (text).
    pub streaming: bool,
}

/// The note beside a recording that goes to CloudWatch Logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogNote {
    #[serde(flatten)]
    pub(crate) log: LogGroup,
    /// Bytes of the recording whose text was sent.
    pub(crate) offset: u64,
    /// Whether the log stream was created.
    pub(crate) stream: bool,
}

/// A bucket that preferences name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCopy {
    /// Its name.
    pub bucket: String,
    /// What the object's name begins with; may be empty.
    pub prefix: String,
    /// Whether the bucket must encrypt.
    pub encrypted: bool,
}

impl BucketCopy {
    /// The object's key.
    #[must_use]
    pub fn key(&self, session: &str) -> String {
        layout::log(&self.prefix, session)
    }
}

/// Where a session's output goes besides its recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destinations {
    /// A log group.
    pub logs: Option<LogGroup>,
    /// A bucket that preferences name.
    pub copy: Option<BucketCopy>,
}

impl Destinations {
    /// What preferences ask for; where they are silent, what `gateway.toml` says.
    ///
    /// # Errors
    /// Why it is not possible, for the user.
    pub(super) fn choose(
        settings: &Settings,
        preferences: &SessionPreferences,
    ) -> Result<Self, String> {
        let (copy, logs) = (preferences.s3(), preferences.cloud_watch());
        let input = preferences.record_input == Some(true);
        if (copy.is_some() || logs.is_some() || input) && settings.recording == Demand::Off {
            return Err(
                "the session's preferences ask for a record, and this gateway records nothing \
                 ([evidence] recording \
                 in gateway.toml)"
                    .to_owned(),
            );
        }
        if let Some(copy) = copy.as_ref().filter(|_| settings.s3().is_none()) {
            return Err(format!(
                "the session's preferences ask for a log in the bucket {}, and this gateway has \
                 no access to S3 \
                 ([evidence.s3] in gateway.toml)",
                copy.bucket
            ));
        }
        if let Some(logs) = logs.as_ref().filter(|_| settings.cloudwatch.is_none()) {
            return Err(format!(
                "the session's preferences ask for a log in the log group {}, and this gateway \
                 has no access to \
                 CloudWatch Logs ([evidence.cloudwatch] in gateway.toml)",
                logs.group
            ));
        }
        let asked = logs.map(|log| LogGroup { group: log.group, streaming: log.streaming });
        let copy = copy.map(|s3| BucketCopy {
            bucket: s3.bucket,
            prefix: s3.prefix,
            encrypted: s3.encrypted,
        });
        Ok(Self { logs: log_group(settings, asked), copy })
    }

    /// Queues a recording that begins for these destinations. `path`: the file that the recorder
    /// writes.
    pub(super) fn enqueue(&self, home: &Path, session: &str, path: &Path) -> io::Result<()> {
        if let Some(log) = &self.logs {
            let note = LogNote { log: log.clone(), offset: 0, stream: false };
            spool::add(home, &CLOUDWATCH, session, path, &note)?;
        }
        match &self.copy {
            Some(copy) => spool::add(home, &COPIES, session, path, copy),
            None => Ok(()),
        }
    }

    /// The URLs that users are told. `recording`: that of the sealed recording, which gives way to
    /// the bucket of the preferences.
    pub(super) fn output_url(
        &self,
        settings: &Settings,
        session: &str,
        recording: Option<String>,
    ) -> SessionManagerOutputUrl {
        let copy = self.copy.as_ref().zip(settings.s3());
        let copy =
            copy.map(|(copy, s3)| format!("{}/{}/{}", s3.server(), copy.bucket, copy.key(session)));
        let logs = self.logs.as_ref().zip(settings.cloudwatch.as_ref()).map(|(logs, service)| {
            let region = service.region.as_deref().unwrap_or("us-east-1");
            let console =
                format!("https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}");
            let server = service.endpoint.clone().unwrap_or(console);
            format!("{server}#logEventViewer:group={};stream={}", logs.group, stream_of(session))
        });
        SessionManagerOutputUrl { s3_output_url: copy.or(recording), cloud_watch_output_url: logs }
    }
}

/// The log group that preferences ask for, else that of the settings.
fn log_group(settings: &Settings, asked: Option<LogGroup>) -> Option<LogGroup> {
    let service = settings.cloudwatch.as_ref()?;
    let own = service.group.clone().map(|group| LogGroup { group, streaming: service.streaming });
    asked.or(own)
}

/// Name of a session's log stream: the session's, without what the service forbids.
pub(crate) fn stream_of(session: &str) -> String {
    session.replace([':', '*'], "")
}
