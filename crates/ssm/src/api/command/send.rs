//! Shapes of Run Command: a command, its invocations, sending and cancelling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::{Request, Violations};
use crate::clock::EpochSeconds;
use crate::documents::Parameters;
use crate::ids::is_key_prefix;

/// Seconds in which a command must have begun on a device when the caller says nothing, as at AWS.
pub const DEFAULT_TIMEOUT: i64 = 3600;
/// Most characters of `StandardOutputContent`.
pub const MAX_STDOUT: usize = 24_000;
/// Most characters of `StandardErrorContent`.
pub const MAX_STDERR: usize = 8_000;
/// Most characters of a plugin's `Output`.
pub const MAX_PLUGIN_OUTPUT: usize = 2_500;
/// Keys that commands and invocations can be filtered by.
pub const FILTER_KEYS: &[&str] =
    &["InvokedAfter", "InvokedBefore", "Status", "ExecutionStage", "DocumentName"];
/// Most bytes of all parameters of one command together. The script that they make has its own,
/// smaller limit.
const MAX_PARAMETERS: usize = 200 * 1024;

/// Which devices receive a command: those that match every target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Target {
    /// `InstanceIds`, `tag:KEY` or `tag-key`.
    #[serde(default)]
    pub key: String,
    /// Ids, values of the tag, keys of tags; `*` among ids means every device.
    #[serde(default)]
    pub values: Vec<String>,
}

/// Where CloudWatch Logs gets output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CloudWatchOutputConfig {
    /// The log group; `/aws/ssm/<document>` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_log_group_name: Option<String>,
    /// Whether output goes there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_output_enabled: Option<bool>,
}

/// Asks that devices run a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendCommandRequest {
    /// Devices by their ids, at most 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ids: Option<Vec<String>>,
    /// Devices by what they are; in place of ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<Target>>,
    /// The document.
    pub document_name: String,
    /// Its version; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_version: Option<String>,
    /// Digest that the document must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_hash: Option<String>,
    /// What kind of digest: `Sha256` or `Sha1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_hash_type: Option<String>,
    /// Seconds in which it must have begun on a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What the document asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: Parameters,
    /// Region of the bucket.
    #[serde(rename = "OutputS3Region", default, skip_serializing_if = "Option::is_none")]
    pub output_s3_region: Option<String>,
    /// Bucket for the output.
    #[serde(rename = "OutputS3BucketName", default, skip_serializing_if = "Option::is_none")]
    pub output_s3_bucket_name: Option<String>,
    /// What the keys of its objects begin with.
    #[serde(rename = "OutputS3KeyPrefix", default, skip_serializing_if = "Option::is_none")]
    pub output_s3_key_prefix: Option<String>,
    /// How many devices at once: a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<String>,
    /// How many errors stop it: a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<String>,
    /// A role for notifications: there are none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_role_arn: Option<String>,
    /// Notifications: there are none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_config: Option<serde_json::Value>,
    /// Output for CloudWatch Logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_output_config: Option<CloudWatchOutputConfig>,
    /// Alarms: there are none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm_configuration: Option<serde_json::Value>,
}

impl Request for SendCommandRequest {
    fn check(&self, v: &mut Violations) {
        v.length("DocumentName", &self.document_name, 3, 128);
        let good =
            self.document_name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b));
        v.require(good, "DocumentName", "consist of letters, digits and _-.:/");
        if let Some(version) = &self.document_version {
            v.require(
                is_version(version),
                "DocumentVersion",
                "be $LATEST, $DEFAULT or a number from 1",
            );
        }
        if let Some(kind) = &self.document_hash_type {
            v.one_of("DocumentHashType", kind, &["Sha256", "Sha1"]);
        }
        v.optional_length("DocumentHash", self.document_hash.as_ref(), 0, 256);
        v.range("TimeoutSeconds", self.timeout_seconds, 30, 2_592_000);
        v.optional_length("Comment", self.comment.as_ref(), 0, 100);
        v.shown("Comment", self.comment.as_deref().unwrap_or_default(), true);
        v.optional_length("OutputS3Region", self.output_s3_region.as_ref(), 3, 20);
        v.optional_length("OutputS3BucketName", self.output_s3_bucket_name.as_ref(), 3, 63);
        v.optional_length("OutputS3KeyPrefix", self.output_s3_key_prefix.as_ref(), 0, 500);
        let prefix = self.output_s3_key_prefix.as_deref().unwrap_or_default();
        let rule = "have no name . or .. between its slashes";
        v.require(is_key_prefix(prefix), "OutputS3KeyPrefix", rule);
        for (member, text) in [
            ("OutputS3Region", &self.output_s3_region),
            ("OutputS3BucketName", &self.output_s3_bucket_name),
            ("OutputS3KeyPrefix", &self.output_s3_key_prefix),
        ] {
            v.shown(member, text.as_deref().unwrap_or_default(), false);
        }
        for (member, text, zero) in [
            ("MaxConcurrency", &self.max_concurrency, false),
            ("MaxErrors", &self.max_errors, true),
        ] {
            if let Some(text) = text {
                let rule = match zero {
                    true => "be a number or a percentage such as 10%",
                    false => "be a number of at least 1, or a percentage such as 10%",
                };
                v.require(Share::parse(text, zero).is_some(), member, rule);
            }
        }
        self.check_targets(v);
        let group = self
            .cloud_watch_output_config
            .as_ref()
            .and_then(|c| c.cloud_watch_log_group_name.as_ref());
        let member = "CloudWatchOutputConfig.CloudWatchLogGroupName";
        v.optional_length(member, group, 1, 512);
        v.shown(member, group.map(String::as_str).unwrap_or_default(), false);
        v.distinct("Parameters", self.parameters.keys().map(String::as_str));
        self.parameters.keys().for_each(|name| v.length("Parameters key", name, 1, 255));
        let bytes: usize = self
            .parameters
            .iter()
            .map(|(k, vs)| k.len() + vs.iter().map(String::len).sum::<usize>())
            .sum();
        v.require(bytes <= MAX_PARAMETERS, "Parameters", "have at most 204800 bytes together");
    }
}

impl SendCommandRequest {
    fn check_targets(&self, v: &mut Violations) {
        let (ids, targets) =
            (self.instance_ids.as_deref(), self.targets.as_deref().unwrap_or_default());
        v.items("InstanceIds", ids.unwrap_or_default().len(), 0, 50);
        v.items("Targets", targets.len(), 0, 5);
        for target in targets {
            v.length("Targets Key", &target.key, 1, 163);
            v.items("Targets Values", target.values.len(), 0, 50);
            v.shown("Targets Key", &target.key, false);
            for value in &target.values {
                v.length("Targets Values", value, 0, 256);
                v.shown("Targets Values", value, false);
            }
        }
        let some = (!ids.unwrap_or_default().is_empty(), !targets.is_empty());
        v.require(
            some.0 != some.1,
            "InstanceIds and Targets",
            "be given one or the other, and not be empty",
        );
    }
}

fn is_version(text: &str) -> bool {
    let number = text.len() <= 9 && !text.starts_with('0') && text.parse::<u32>().is_ok();
    matches!(text, "$LATEST" | "$DEFAULT") || number
}

/// A number of devices, or a part of those that are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Number(u32),
    /// So many of a hundred.
    Percent(u32),
}

impl Share {
    /// Reads `50` or `10%`; `zero` says whether none is possible.
    #[must_use]
    pub fn parse(text: &str, zero: bool) -> Option<Self> {
        let (digits, percent) =
            text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
        let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let number: u32 =
            Some(digits).filter(|d| plain && (*d == "0" || !d.starts_with('0')))?.parse().ok()?;
        let good = (zero || number > 0) && (!percent || number <= 100);
        good.then_some(if percent { Self::Percent(number) } else { Self::Number(number) })
    }

    /// How many of `all` that is, rounded down.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Number(number) => number as usize,
            Self::Percent(percent) => all.saturating_mul(percent as usize) / 100,
        }
    }
}

/// A command's or an invocation's status, in AWS's words. Commands never are `Delayed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommandStatus {
    /// Not yet given to a device.
    Pending,
    /// Given to a device that was lost before it answered.
    Delayed,
    /// Under way.
    InProgress,
    /// Well.
    Success,
    /// Stopped by somebody.
    Cancelled,
    /// Not well.
    Failed,
    /// Too late, or too long.
    TimedOut,
    /// Being stopped.
    Cancelling,
}

impl CommandStatus {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Delayed,
        Self::InProgress,
        Self::Success,
        Self::Cancelled,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelling,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Delayed => "Delayed",
            Self::InProgress => "InProgress",
            Self::Success => "Success",
            Self::Cancelled => "Cancelled",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Cancelling => "Cancelling",
        }
    }

    /// The status of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing will follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Cancelled | Self::Failed | Self::TimedOut)
    }
}

/// A command as AWS shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Command {
    /// Its id, a UUID.
    pub command_id: String,
    /// The document.
    pub document_name: String,
    /// The version of it that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_version: Option<String>,
    /// For people.
    #[serde(default)]
    pub comment: String,
    /// When nothing of it will be under way any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<EpochSeconds>,
    /// What it was given.
    #[serde(default)]
    pub parameters: Parameters,
    /// Devices that were named.
    #[serde(default)]
    pub instance_ids: Vec<String>,
    /// Devices that were described.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_date_time: Option<EpochSeconds>,
    /// Where it stands.
    pub status: CommandStatus,
    /// The same with more words.
    #[serde(default)]
    pub status_details: String,
    /// Region of the bucket.
    #[serde(rename = "OutputS3Region", default, skip_serializing_if = "Option::is_none")]
    pub output_s3_region: Option<String>,
    /// Bucket for the output.
    #[serde(rename = "OutputS3BucketName", default)]
    pub output_s3_bucket_name: String,
    /// What the keys of its objects begin with.
    #[serde(rename = "OutputS3KeyPrefix", default)]
    pub output_s3_key_prefix: String,
    /// How many devices at once.
    pub max_concurrency: String,
    /// How many errors stop it.
    pub max_errors: String,
    /// Devices it is for.
    pub target_count: i64,
    /// Devices where it is over, one way or the other.
    pub completed_count: i64,
    /// Devices where it failed or took too long.
    pub error_count: i64,
    /// Devices that it did not reach in time.
    pub delivery_timed_out_count: i64,
    /// Always empty here.
    #[serde(default)]
    pub service_role: String,
    /// Output for CloudWatch Logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_output_config: Option<CloudWatchOutputConfig>,
    /// Seconds in which it must have begun on a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
}

/// The command that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendCommandResult {
    /// It.
    pub command: Command,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    #[track_caller]
    fn refused(change: &str, member: &str) {
        let body = format!(r#"{{"DocumentName":"AWS-RunShellScript",{change}}}"#);
        let error = parse::<SendCommandRequest>(body.as_bytes()).unwrap_err();
        assert!(error.message.contains(member), "{change}: {}", error.message);
    }

    #[test]
    fn a_command_without_devices_or_with_two_kinds_of_them_is_refused() {
        refused(r#""Comment":"x""#, "InstanceIds and Targets");
        refused(r#""InstanceIds":[],"Targets":[]"#, "InstanceIds and Targets");
        refused(
            r#""InstanceIds":["mi-0123456789abcdef0"],"Targets":[{"Key":"tag:a","Values":["b"]}]"#,
            "Targets",
        );
    }

    #[test]
    fn members_beyond_the_models_limits_are_refused_by_their_names() {
        let to = r#""InstanceIds":["mi-0123456789abcdef0"],"#;
        for (change, member) in [
            (r#""TimeoutSeconds":29"#, "TimeoutSeconds"),
            (r#""MaxConcurrency":"0""#, "MaxConcurrency"),
            (r#""MaxConcurrency":"101%""#, "MaxConcurrency"),
            (r#""MaxErrors":"-1""#, "MaxErrors"),
            (r#""DocumentVersion":"0""#, "DocumentVersion"),
            (r#""DocumentHashType":"Md5""#, "DocumentHashType"),
        ] {
            refused(&format!("{to}{change}"), member);
        }
    }

    #[test]
    fn a_share_is_a_number_or_a_percentage_of_the_devices() {
        assert_eq!(Share::parse("10%", false).unwrap().of(1000), 100);
        assert_eq!(Share::parse("10%", true).unwrap().of(55), 5);
        assert_eq!(Share::parse("0", true), Some(Share::Number(0)));
        for bad in ["", "0", "01", "x", "1.5", "%", "1000000000"] {
            assert_eq!(Share::parse(bad, false), None, "{bad}");
        }
    }
}
