//! The preferences of sessions: the `inputs` of `SSM-SessionManagerRunShell`, and of own session
//! documents.
//!
//! Data flow: `inputs` -> [`SessionPreferences::read`] -> the gateway: times and run-as at
//! StartSession, the profile to the device, the log destinations to the gateway's delivery.
//!
//! # Invariants
//! - A member that this file does not know is refused: a misspelt restriction must not vanish.
//! - An empty text, and an absent member, say nothing; what a document says wins over what the
//!   account's preferences say.
//!
//! # Not here
//! - Nothing is enforced here. `recordInput` is ours; the other members are AWS's. Encryption with
//!   a KMS key is refused: there is no such service, and TLS is always there.

use serde_json::{Map, Value};

use super::content::invalid;
use super::parameter::is_local_user;
use crate::command_document::Platform;
use crate::error::ApiError;
use crate::ids::is_key_prefix;

/// Bounds of `idleSessionTimeout`, minutes, as at AWS.
pub const IDLE_MINUTES: core::ops::RangeInclusive<u32> = 1..=60;
/// Bounds of `maxSessionDuration`, minutes, as at AWS.
pub const MAX_MINUTES: core::ops::RangeInclusive<u32> = 1..=1440;
/// Longest shell profile, characters, as at AWS.
pub const MAX_PROFILE: usize = 512;

/// What is typed into a shell before the user, by the system of the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShellProfiles {
    /// On Linux.
    pub linux: Option<String>,
    /// On Windows, for PowerShell.
    pub windows: Option<String>,
    /// On macOS; where it is absent that of Linux counts, as amazon-ssm-agent has it.
    pub macos: Option<String>,
}

impl ShellProfiles {
    /// The profile for a device of this system.
    #[must_use]
    pub fn of(&self, platform: Platform) -> Option<&str> {
        let profile = match platform {
            Platform::Linux => &self.linux,
            Platform::Windows => &self.windows,
            Platform::MacOs => return self.macos.as_deref().or(self.linux.as_deref()),
        };
        profile.as_deref()
    }

    fn over(self, account: Self) -> Self {
        Self {
            linux: self.linux.or(account.linux),
            windows: self.windows.or(account.windows),
            macos: self.macos.or(account.macos),
        }
    }
}

/// A copy of the session's output to S3, when the session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Log {
    /// The bucket.
    pub bucket: String,
    /// In front of `<SessionId>.log`; may be empty.
    pub prefix: String,
    /// Whether the bucket must encrypt; a session whose log would not be is to be refused.
    pub encrypted: bool,
}

/// The session's output to CloudWatch Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudWatchLog {
    /// The log group.
    pub group: String,
    /// While the session lives, instead of once when it is over.
    pub streaming: bool,
    /// Whether the group must be encrypted.
    pub encrypted: bool,
}

/// What sessions are to be like. `None`: the document does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionPreferences {
    /// Minutes without a keystroke and output after which a session ends.
    pub idle_minutes: Option<u32>,
    /// Minutes after which a session ends whatever it does.
    pub max_minutes: Option<u32>,
    /// Whether sessions run as the user of the principal's tag `SSMSessionRunAs`, or else the
    /// default user, and no other.
    pub run_as: Option<bool>,
    /// That default user.
    pub run_as_default_user: Option<String>,
    /// Typed into a shell before the user.
    pub shell_profile: ShellProfiles,
    /// Bucket of the log.
    pub s3_bucket: Option<String>,
    /// Prefix of the log's name.
    pub s3_prefix: Option<String>,
    /// Whether the bucket must encrypt.
    pub s3_encrypted: Option<bool>,
    /// Log group.
    pub cloud_watch_group: Option<String>,
    /// Whether the log group must be encrypted.
    pub cloud_watch_encrypted: Option<bool>,
    /// Whether log events go out while the session lives.
    pub cloud_watch_streaming: Option<bool>,
    /// Not of AWS: whether what is typed into a terminal is recorded, as far as it is echoed.
    pub record_input: Option<bool>,
}

impl SessionPreferences {
    /// Reads `inputs`.
    ///
    /// # Errors
    /// `InvalidDocumentContent` that names the member and what it must be.
    pub fn read(inputs: &Map<String, Value>) -> Result<Self, ApiError> {
        let mut read = Self::default();
        for (key, value) in inputs {
            match key.as_str() {
                "idleSessionTimeout" => read.idle_minutes = minutes(key, value, &IDLE_MINUTES)?,
                "maxSessionDuration" => read.max_minutes = minutes(key, value, &MAX_MINUTES)?,
                "runAsEnabled" => read.run_as = switch(key, value)?,
                "runAsDefaultUser" => read.run_as_default_user = user(key, value)?,
                "shellProfile" => read.shell_profile = profiles(value)?,
                "s3BucketName" => {
                    read.s3_bucket =
                        checked(key, value, 63, is_bucket, "be the name of an S3 bucket")?
                }
                "s3KeyPrefix" => {
                    read.s3_prefix = checked(
                        key,
                        value,
                        500,
                        is_prefix,
                        "be a key of S3, up to 500 long, without . and ..",
                    )?
                }
                "s3EncryptionEnabled" => read.s3_encrypted = switch(key, value)?,
                "cloudWatchLogGroupName" => {
                    read.cloud_watch_group =
                        checked(key, value, 512, is_group, "be the name of a log group")?;
                }
                "cloudWatchEncryptionEnabled" => read.cloud_watch_encrypted = switch(key, value)?,
                "cloudWatchStreamingEnabled" => read.cloud_watch_streaming = switch(key, value)?,
                "recordInput" => read.record_input = switch(key, value)?,
                "kmsKeyId" if text(key, value)?.is_none() => {}
                "kmsKeyId" => {
                    return Err(invalid(
                        "inputs.kmsKeyId must be empty: there is no KMS here, and TLS protects \
                         every session",
                    ));
                }
                _ => return Err(invalid(&format!("inputs.{key} is not a preference of sessions"))),
            }
        }
        Ok(read)
    }

    /// These preferences where they say something, else those of `account`.
    #[must_use]
    pub fn over(self, account: Self) -> Self {
        Self {
            idle_minutes: self.idle_minutes.or(account.idle_minutes),
            max_minutes: self.max_minutes.or(account.max_minutes),
            run_as: self.run_as.or(account.run_as),
            run_as_default_user: self.run_as_default_user.or(account.run_as_default_user),
            shell_profile: self.shell_profile.over(account.shell_profile),
            s3_bucket: self.s3_bucket.or(account.s3_bucket),
            s3_prefix: self.s3_prefix.or(account.s3_prefix),
            s3_encrypted: self.s3_encrypted.or(account.s3_encrypted),
            cloud_watch_group: self.cloud_watch_group.or(account.cloud_watch_group),
            cloud_watch_encrypted: self.cloud_watch_encrypted.or(account.cloud_watch_encrypted),
            cloud_watch_streaming: self.cloud_watch_streaming.or(account.cloud_watch_streaming),
            record_input: self.record_input.or(account.record_input),
        }
    }

    /// The wanted copy in S3, if any.
    #[must_use]
    pub fn s3(&self) -> Option<S3Log> {
        Some(S3Log {
            bucket: self.s3_bucket.clone()?,
            prefix: self.s3_prefix.clone().unwrap_or_default(),
            encrypted: self.s3_encrypted.unwrap_or(false),
        })
    }

    /// The wanted log in CloudWatch Logs, if any.
    #[must_use]
    pub fn cloud_watch(&self) -> Option<CloudWatchLog> {
        Some(CloudWatchLog {
            group: self.cloud_watch_group.clone()?,
            streaming: self.cloud_watch_streaming.unwrap_or(false),
            encrypted: self.cloud_watch_encrypted.unwrap_or(false),
        })
    }
}

fn must(key: &str, rule: &str) -> ApiError {
    invalid(&format!("inputs.{key} must {rule}"))
}

/// A text; an empty one says nothing.
fn text<'a>(key: &str, value: &'a Value) -> Result<Option<&'a str>, ApiError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        _ => Err(must(key, "be a text")),
    }
}

/// A boolean, which may come as a text.
fn switch(key: &str, value: &Value) -> Result<Option<bool>, ApiError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(on) => Ok(Some(*on)),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(must(key, "be true or false")),
        },
        _ => Err(must(key, "be true or false")),
    }
}

/// Minutes: a text at AWS; a number is taken too.
fn minutes(
    key: &str,
    value: &Value,
    range: &core::ops::RangeInclusive<u32>,
) -> Result<Option<u32>, ApiError> {
    let number = match value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        _ => match text(key, value)? {
            None => return Ok(None),
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        },
    };
    match number.filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(must(
            key,
            &format!("be minutes from {} to {}, in quotes, or empty", range.start(), range.end()),
        )),
    }
}

fn user(key: &str, value: &Value) -> Result<Option<String>, ApiError> {
    match text(key, value)? {
        None => Ok(None),
        Some("root") => Err(must(key, "be another user than root")),
        Some(name) if is_local_user(name) => Ok(Some(name.to_owned())),
        Some(_) => Err(must(key, "be the name of a local user")),
    }
}

fn profiles(value: &Value) -> Result<ShellProfiles, ApiError> {
    let Value::Object(systems) = value else {
        return Err(must("shellProfile", "be an object with linux, windows or macos"));
    };
    let mut read = ShellProfiles::default();
    for (system, value) in systems {
        let place = match Platform::parse(system) {
            Some(Platform::Linux) => &mut read.linux,
            Some(Platform::Windows) => &mut read.windows,
            Some(Platform::MacOs) => &mut read.macos,
            None => {
                return Err(invalid(&format!(
                    "inputs.shellProfile.{system} is not a system: linux, windows or macos"
                )));
            }
        };
        let key = format!("shellProfile.{system}");
        let Some(profile) = text(&key, value)? else { continue };
        if profile.contains('\0') || profile.chars().count() > MAX_PROFILE {
            let rule = format!("be at most {MAX_PROFILE} characters, without NUL");
            return Err(must(&key, &rule));
        }
        *place = Some(profile.to_owned());
    }
    Ok(read)
}

fn checked(
    key: &str,
    value: &Value,
    longest: usize,
    good: fn(&str) -> bool,
    rule: &str,
) -> Result<Option<String>, ApiError> {
    match text(key, value)? {
        None => Ok(None),
        Some(text) if text.len() <= longest && good(text) => Ok(Some(text.to_owned())),
        Some(_) => Err(must(key, rule)),
    }
}

/// The rules of S3: 3 to 63 small letters, digits, dots and hyphens, beginning and ending with a
/// letter or digit.
fn is_bucket(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() >= 3
        && name.bytes().all(|byte| good(byte) || b".-".contains(&byte))
        && name.bytes().next().is_some_and(good)
        && name.bytes().last().is_some_and(good)
        && !name.contains("..")
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control) && !text.split('/').any(|part| part == "..")
}

/// The rules of CloudWatch Logs: letters, digits and `_ - / . #`.
fn is_prefix(text: &str) -> bool {
    is_plain(text) && is_key_prefix(text)
}

fn is_group(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-/.#".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(inputs: Value) -> Result<SessionPreferences, ApiError> {
        let Value::Object(inputs) = inputs else { panic!("an object") };
        SessionPreferences::read(&inputs)
    }

    #[test]
    fn the_console_s_own_text_says_nothing_but_what_is_filled_in() {
        let read = read(json!({
            "s3BucketName": "", "s3KeyPrefix": "", "s3EncryptionEnabled": true, "cloudWatchLogGroupName": "",
            "cloudWatchEncryptionEnabled": "true", "cloudWatchStreamingEnabled": false, "kmsKeyId": "",
            "runAsEnabled": false, "runAsDefaultUser": "", "idleSessionTimeout": "5", "maxSessionDuration": "",
            "shellProfile": {"windows": "cd C:\\", "linux": "cd /; exec bash", "macos": ""}
        }))
        .unwrap();
        let expected = SessionPreferences {
            idle_minutes: Some(5),
            run_as: Some(false),
            shell_profile: ShellProfiles {
                linux: Some("cd /; exec bash".into()),
                windows: Some("cd C:\\".into()),
                macos: None,
            },
            s3_encrypted: Some(true),
            cloud_watch_encrypted: Some(true),
            cloud_watch_streaming: Some(false),
            ..SessionPreferences::default()
        };
        assert_eq!(read, expected);
        assert_eq!((read.s3(), read.cloud_watch()), (None, None));
    }

    #[test]
    fn what_is_out_of_bounds_or_unknown_is_named() {
        for (inputs, named) in [
            (json!({"idleSessionTimeout": "0"}), "1 to 60"),
            (json!({"idleSessionTimeout": "61"}), "1 to 60"),
            (json!({"maxSessionDuration": "1441"}), "1 to 1440"),
            (json!({"maxSessionDuration": "soon"}), "1 to 1440"),
            (json!({"idleSesionTimeout": "5"}), "idleSesionTimeout"),
            (json!({"runAsDefaultUser": "root"}), "root"),
            (json!({"runAsDefaultUser": "a b"}), "local user"),
            (json!({"runAsEnabled": "yes"}), "true or false"),
            (json!({"recordInput": "shown"}), "true or false"),
            (json!({"kmsKeyId": "alias/x"}), "KMS"),
            (json!({"shellProfile": {"linux": "x".repeat(513)}}), "512"),
            (json!({"shellProfile": {"windows": "x\0"}}), "shellProfile.windows"),
            (json!({"shellProfile": {"amiga": "x"}}), "not a system"),
            (json!({"shellProfile": "x"}), "object"),
            (json!({"s3BucketName": "No_Bucket"}), "bucket"),
            (json!({"s3KeyPrefix": "a/../b"}), "key of S3"),
            (json!({"cloudWatchLogGroupName": "a b"}), "log group"),
        ] {
            let error = read(inputs.clone()).unwrap_err();
            assert!(error.message.contains(named), "{inputs}: {error}");
        }
    }

    #[test]
    fn macos_has_its_own_profile_or_that_of_linux() {
        let profile = |inputs: Value| {
            let read = read(json!({ "shellProfile": inputs })).unwrap().shell_profile;
            Platform::ALL.map(|platform| read.of(platform).unwrap_or_default().to_owned())
        };
        assert_eq!(profile(json!({"linux": "l", "windows": "w"})), ["w", "l", "l"]);
        assert_eq!(profile(json!({"linux": "l", "macOS": "m"})), ["", "l", "m"]);
    }

    #[test]
    fn a_document_s_own_word_wins_member_by_member() {
        let account = read(json!({"idleSessionTimeout": "5", "s3BucketName": "logs-1"})).unwrap();
        let own = read(json!({"idleSessionTimeout": "10", "recordInput": "true"})).unwrap();
        let both = own.over(account);
        assert_eq!((both.idle_minutes, both.record_input), (Some(10), Some(true)));
        assert_eq!(
            both.s3(),
            Some(S3Log { bucket: "logs-1".into(), prefix: String::new(), encrypted: false })
        );
    }
}
