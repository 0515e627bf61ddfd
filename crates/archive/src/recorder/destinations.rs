//! Where a session's output goes besides its sealed recording, and what that is called for those
//! who look for it.
//!
//! # Invariants
//! - What preferences name and this gateway cannot write to is refused in words, before the session
//!   begins: a log that is wanted and silently not made is worse than no session.

use towline_ssm::api::session::SessionManagerOutputUrl;
use towline_ssm::documents::preferences::SessionPreferences;

use crate::delivery::cloudwatch::{Wanted, stream_of};
use crate::delivery::copies::CopyWanted;
use crate::recorder::recorder::Recorder;
use crate::settings::{Demand, S3, SinkSettings};

/// Where output goes besides the recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destinations {
    /// A log group.
    pub logs: Option<Wanted>,
    /// A bucket that preferences name.
    pub copy: Option<CopyWanted>,
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
}

impl Recorder {
    /// The settings of the bucket that everything goes to, if it goes to one.
    #[must_use]
    pub fn s3(&self) -> Option<&S3> {
        match &self.settings.sink {
            SinkSettings::S3(s3) => Some(s3),
            SinkSettings::Directory(_) => None,
        }
    }

    /// What preferences want, and what `gateway.toml` says where they say nothing.
    ///
    /// # Errors
    /// Why it cannot be done, for people.
    pub fn destinations(&self, preferences: &SessionPreferences) -> Result<Destinations, String> {
        let (copy, logs) = (preferences.s3(), preferences.cloud_watch());
        let input = preferences.record_input == Some(true);
        if (copy.is_some() || logs.is_some() || input) && self.demand() == Demand::Off {
            return Err(
                "the session's preferences want a record of it, and this gateway records nothing ([evidence] recording \
                        in gateway.toml)"
                    .to_owned(),
            );
        }
        if let Some(copy) = copy.as_ref().filter(|_| self.s3().is_none()) {
            return Err(format!(
                "the session's preferences want its log in the bucket {}, and this gateway has no access to S3 ([evidence.s3] \
                 in gateway.toml)",
                copy.bucket
            ));
        }
        if let Some(logs) = logs.as_ref().filter(|_| self.settings.cloudwatch.is_none()) {
            return Err(format!(
                "the session's preferences want its log in the log group {}, and this gateway has no access to CloudWatch Logs \
                 ([evidence.cloudwatch] in gateway.toml)",
                logs.group
            ));
        }
        let wish = logs.map(|log| Wanted { group: log.group, streaming: log.streaming });
        let copy = copy.map(|s3| CopyWanted {
            bucket: s3.bucket,
            prefix: s3.prefix,
            encrypted: s3.encrypted,
        });
        Ok(Destinations { logs: self.logs_wanted(wish), copy })
    }

    /// Where a session's log goes beside the sink: the wish of its preferences, else the gateway's
    /// setting.
    #[must_use]
    pub fn logs_wanted(&self, wish: Option<Wanted>) -> Option<Wanted> {
        let settings = self.settings.cloudwatch.as_ref()?;
        let own =
            settings.group.clone().map(|group| Wanted { group, streaming: settings.streaming });
        wish.or(own)
    }

    /// What is told of a session's output; the bucket that preferences name goes before the
    /// gateway's own.
    #[must_use]
    pub fn output_url(&self, session: &str, places: &Destinations) -> SessionManagerOutputUrl {
        let copy = places.copy.as_ref().zip(self.s3());
        let copy =
            copy.map(|(copy, s3)| format!("{}/{}/{}", s3.server(), copy.bucket, copy.key(session)));
        let logs =
            places.logs.as_ref().zip(self.settings.cloudwatch.as_ref()).map(|(logs, settings)| {
                let region = settings.region.as_deref().unwrap_or("us-east-1");
                let console = format!(
                    "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
                );
                let server = settings.endpoint.clone().unwrap_or(console);
                format!(
                    "{server}#logEventViewer:group={};stream={}",
                    logs.group,
                    stream_of(session)
                )
            });
        SessionManagerOutputUrl {
            s3_output_url: copy.or_else(|| self.url(session)),
            cloud_watch_output_url: logs,
        }
    }
}
