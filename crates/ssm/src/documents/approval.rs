//! Approval policies: documents that say which requests for access need which approvals.
//!
//! Data flow: a document of type `ManualApprovalPolicy` or `AutoApprovalPolicy` ->
//! [`ManualApproval::read`] or [`AutoApproval::read`] -> the gateway, which compares it with
//! requests.
//!
//! # Invariants
//! - An unknown member is refused: a mistyped restriction must not vanish.
//! - What was read is bounded: [`MAX_LEVELS`], [`MAX_APPROVERS`], [`MAX_RULES`], [`MAX_WINDOWS`].
//! - A level never needs more approvals than it has approvers, if approvers are users.
//!
//! # Not here
//! - The right to decide: that is the action `towline:ApproveAccessRequest` of the policies. A
//!   document restricts it.
//! - Time zones: the gateway knows them.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::content::{Content, Kind, invalid};
use crate::error::ApiError;
use crate::ids::UserName;

/// Levels of one policy, as at AWS.
pub const MAX_LEVELS: usize = 5;
/// Approvers of one level, as at AWS.
pub const MAX_APPROVERS: usize = 5;
/// Rules of an automatic policy, for each effect.
pub const MAX_RULES: usize = 50;
/// Times of the week of one policy or rule.
pub const MAX_WINDOWS: usize = 20;
/// Tags of one policy or rule.
pub const MAX_TARGETS: usize = 20;
/// Values of one tag.
const MAX_VALUES: usize = 50;
/// Hours for which an approval can hold, as at AWS.
pub const HOURS: core::ops::RangeInclusive<u32> = 1..=336;
/// Minutes for which automatic approval holds, as at AWS.
pub const AUTO_MINUTES: i64 = 60;

/// A tag of devices. A policy is for a device when one of its targets has the device's tag and
/// value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// `tag:KEY`.
    pub key: String,
    /// Values, one of which the tag has.
    pub values: Vec<String>,
}

/// A time that comes back each week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// `Mon` to `Sun`; each day when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`, later than `from`; `24:00` is the end of the day.
    pub to: String,
    /// A name of the time zone database, such as `Europe/Berlin`.
    pub time_zone: String,
}

/// The days as they are written, from Monday.
pub const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Window {
    /// Minutes of the day from which and until which it is open.
    #[must_use]
    pub fn minutes(&self) -> Option<(u16, u16)> {
        let (from, to) = (minute(&self.from)?, minute(&self.to)?);
        (from < to).then_some((from, to))
    }

    /// Whether it is open on this day, 0 for Monday.
    #[must_use]
    pub fn has_day(&self, day: usize) -> bool {
        self.days.is_empty() || DAYS.get(day).is_some_and(|day| self.days.iter().any(|d| d == day))
    }
}

/// Minutes since midnight of `HH:MM`.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| {
        let good = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= 24 * 60).then_some(all)
}

/// One step of a chain of approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Level {
    /// `user/NAME`, `group/NAME` or `role/NAME`, of this account; everybody with the right to
    /// decide when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// How many different persons must approve.
    #[serde(default = "one", rename = "minRequiredApprovals")]
    pub required: u32,
}

const fn one() -> u32 {
    1
}

/// How requests for some devices are approved by people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManualApproval {
    /// The devices; all devices when empty.
    #[serde(default)]
    pub targets: Vec<Node>,
    /// For how many hours an approval can hold at the most.
    #[serde(rename = "accessDurationHours")]
    pub hours: u32,
    /// The steps, one after the other.
    pub approval_levels: Vec<Level>,
    /// When access can be asked for, decided and used; always when empty.
    #[serde(default)]
    pub windows: Vec<Window>,
}

/// Who and what an automatic policy is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// As the approvers of a [`Level`]; everybody who may ask when empty.
    #[serde(default)]
    pub principals: Vec<String>,
    /// The devices; all devices when empty.
    #[serde(default)]
    pub targets: Vec<Node>,
    /// When it applies; always when empty.
    #[serde(default)]
    pub windows: Vec<Window>,
}

/// Which requests need no person. `forbid` wins: what it names needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoApproval {
    /// What is never approved automatically.
    #[serde(default)]
    pub forbid: Vec<Rule>,
    /// What is.
    #[serde(default)]
    pub permit: Vec<Rule>,
}

/// The members beside the outline's.
fn members<T: DeserializeOwned>(content: &Content) -> Result<T, ApiError> {
    let mut tree = content.tree.clone();
    tree.remove("schemaVersion");
    tree.remove("description");
    serde_json::from_value(tree.into()).map_err(|error| {
        invalid(&format!("not a document of type {}: {error}", content.kind.as_str()))
    })
}

impl ManualApproval {
    /// Reads a document of type [`Kind::ManualApproval`].
    ///
    /// # Errors
    /// `InvalidDocumentContent` with the member that is wrong.
    pub fn read(content: &Content) -> Result<Self, ApiError> {
        let read: Self = members(content)?;
        check_targets(&read.targets)?;
        check_windows(&read.windows)?;
        if !HOURS.contains(&read.hours) {
            return Err(invalid("accessDurationHours must be 1 to 336"));
        }
        if !(1..=MAX_LEVELS).contains(&read.approval_levels.len()) {
            return Err(invalid("approvalLevels must be 1 to 5 levels"));
        }
        for (level, at) in read.approval_levels.iter().zip(1..) {
            check_principals(&level.approvers, MAX_APPROVERS, "approvers")?;
            let users = level.approvers.iter().all(|name| name.contains("user/"));
            let most = match level.approvers.len() {
                count if users && count > 0 => count,
                _ => MAX_APPROVERS,
            };
            if !(1..=most).contains(&(level.required as usize)) {
                return Err(invalid(&format!(
                    "minRequiredApprovals of level {at} must be 1 to {most}"
                )));
            }
        }
        Ok(read)
    }
}

impl AutoApproval {
    /// Reads a document of type [`Kind::AutoApproval`].
    ///
    /// # Errors
    /// As [`ManualApproval::read`].
    pub fn read(content: &Content) -> Result<Self, ApiError> {
        let read: Self = members(content)?;
        if read.forbid.len() > MAX_RULES || read.permit.len() > MAX_RULES {
            return Err(invalid(&format!("forbid and permit can have {MAX_RULES} rules each")));
        }
        for rule in read.forbid.iter().chain(&read.permit) {
            check_principals(&rule.principals, MAX_RULES, "principals")?;
            check_targets(&rule.targets)?;
            check_windows(&rule.windows)?;
        }
        Ok(read)
    }
}

/// Checks a text of one of the two kinds; the windows of it.
///
/// # Errors
/// As [`ManualApproval::read`].
pub fn windows_of(content: &Content) -> Result<Vec<Window>, ApiError> {
    match content.kind {
        Kind::ManualApproval => Ok(ManualApproval::read(content)?.windows),
        Kind::AutoApproval => {
            let read = AutoApproval::read(content)?;
            Ok(read.forbid.into_iter().chain(read.permit).flat_map(|rule| rule.windows).collect())
        }
        Kind::Session | Kind::Command => Ok(Vec::new()),
    }
}

/// The users, groups and roles that a checked text of one of the two kinds names, as it names them.
///
/// # Errors
/// As [`ManualApproval::read`].
pub fn principals_of(content: &Content) -> Result<Vec<String>, ApiError> {
    match content.kind {
        Kind::ManualApproval => {
            let levels = ManualApproval::read(content)?.approval_levels;
            Ok(levels.into_iter().flat_map(|level| level.approvers).collect())
        }
        Kind::AutoApproval => {
            let read = AutoApproval::read(content)?;
            let rules = read.forbid.into_iter().chain(read.permit);
            Ok(rules.flat_map(|rule| rule.principals).collect())
        }
        Kind::Session | Kind::Command => Ok(Vec::new()),
    }
}

fn check_targets(targets: &[Node]) -> Result<(), ApiError> {
    let good = |target: &Node| {
        let key = target.key.strip_prefix("tag:").is_some_and(|key| (1..=128).contains(&key.len()));
        key && (1..=MAX_VALUES).contains(&target.values.len())
            && target.values.iter().all(|value| value.len() <= 256)
    };
    if targets.len() <= MAX_TARGETS && targets.iter().all(good) {
        return Ok(());
    }
    Err(invalid("targets must be at most 20 objects with a key tag:KEY and 1 to 50 values"))
}

fn check_windows(windows: &[Window]) -> Result<(), ApiError> {
    let good = |window: &Window| {
        window.minutes().is_some() && window.days.iter().all(|day| DAYS.contains(&&**day))
    };
    if windows.len() <= MAX_WINDOWS && windows.iter().all(good) {
        return Ok(());
    }
    Err(invalid(
        "windows must be at most 20 objects with days (Mon to Sun), from and to as HH:MM, from \
         earlier than to, and a timeZone",
    ))
}

fn check_principals(names: &[String], most: usize, what: &str) -> Result<(), ApiError> {
    let good = |name: &String| {
        // An ARN of this account ends with the same words; the gateway compares the account.
        let name = name
            .strip_prefix("arn:aws:iam::")
            .map_or(Some(&**name), |arn| arn.split_once(':').map(|(_, name)| name));
        let parts = name.and_then(|name| name.split_once('/'));
        parts.is_some_and(|(kind, name)| {
            matches!(kind, "user" | "group" | "role") && name.parse::<UserName>().is_ok()
        })
    };
    let bare = |name: &String| name.rsplit(':').next().unwrap_or_default().to_owned();
    let distinct: BTreeSet<String> = names.iter().map(bare).collect();
    if names.len() <= most && names.iter().all(good) && distinct.len() == names.len() {
        return Ok(());
    }
    Err(invalid(&format!(
        "{what} must be at most {most} of user/NAME, group/NAME and role/NAME, or their ARNs, \
         each once"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::content::Format;

    fn manual(text: &str) -> Result<ManualApproval, ApiError> {
        ManualApproval::read(&Content::outline(Kind::ManualApproval, Format::Json, text)?)
    }

    const TWO: &str = r#"{"schemaVersion":"1.0","description":"d","accessDurationHours":2,
        "targets":[{"key":"tag:Environment","values":["prod"]}],
        "approvalLevels":[{"approvers":["user/ann","arn:aws:iam::000000000000:group/ops"],
        "minRequiredApprovals":2},{}],
        "windows":[{"days":["Mon"],"from":"08:00","to":"24:00","timeZone":"Europe/Berlin"}]}"#;

    #[test]
    fn a_manual_policy_has_levels_with_approvers() {
        let read = manual(TWO).unwrap();
        assert_eq!(read.approval_levels.len(), 2);
        assert_eq!(read.approval_levels[1], Level { approvers: vec![], required: 1 });
        assert_eq!(read.windows[0].minutes(), Some((480, 1440)));
        assert!(read.windows[0].has_day(0) && !read.windows[0].has_day(1));
    }

    #[test]
    fn what_a_policy_does_not_know_is_refused() {
        for (from, to) in [
            ("\"accessDurationHours\":2", "\"accessDurationHours\":337"),
            ("\"accessDurationHours\":2", "\"accessDuration\":2"),
            ("user/ann", "ann"),
            ("tag:Environment", "Environment"),
            ("\"minRequiredApprovals\":2", "\"minRequiredApprovals\":6"),
            ("\"minRequiredApprovals\":2", "\"minRequiredApprovals\":0"),
            ("\"Mon\"", "\"Monday\""),
            ("24:00", "07:00"),
            ("24:00", "24:01"),
            ("},{}]", "},{},{},{},{},{}]"),
        ] {
            let text = TWO.replace(from, to);
            assert_ne!(text, TWO, "{from}");
            assert!(manual(&text).is_err(), "{to}");
        }
        let users = TWO.replace("arn:aws:iam::000000000000:group/ops", "user/bob");
        assert!(manual(&users).is_ok());
        assert!(manual(&users.replace("Approvals\":2", "Approvals\":3")).is_err(), "of two users");
        let twice = users.replace("user/bob", "arn:aws:iam::000000000000:user/ann");
        assert!(manual(&twice).is_err(), "two spellings of one user cannot approve twice");
    }

    #[test]
    fn an_automatic_policy_has_rules() {
        let text = r#"{"schemaVersion":"1.0","forbid":[{"targets":[{"key":"tag:E","values":["p"]}]}],
            "permit":[{"principals":["group/oncall"]}]}"#;
        let read = |text: &str| {
            AutoApproval::read(&Content::outline(Kind::AutoApproval, Format::Json, text).unwrap())
        };
        assert_eq!(read(text).unwrap().permit[0].principals, ["group/oncall"]);
        let content = Content::outline(Kind::AutoApproval, Format::Json, text).unwrap();
        assert_eq!(principals_of(&content).unwrap(), ["group/oncall"]);
        assert!(read(&text.replace("permit", "allow")).is_err());
    }
}
