//! From an id, a name or a tag to one device.
//!
//! # Invariants
//! - An id costs no request: a session begins with its first packet.
//! - Several matches are an error that names them: a command never runs on the wrong
//!   device.

use towline_ssm::api::device::{
    DescribeInstanceInformationRequest, InstanceInformation, InstanceInformationStringFilter,
    PingStatus,
};
use towline_ssm::api::device_search::{MAX_PAGE, SearchDevicesRequest, TagFilter};
use towline_ssm::error::ErrorCode;
use towline_ssm::ids::DeviceId;

use crate::api::{CallError, Client};
use crate::exit::{self, HasExitCode};
use crate::limits::{MAX_NAMED_MATCHES, PAGE};

/// Why a device cannot be determined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// The list of devices could not be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Nothing matches.
    #[error("no device matches `{0}`: run `towline devices` to list the devices you can access", .wanted)]
    None {
        /// The text.
        wanted: String,
    },
    /// More than one matches.
    #[error("{count} devices match `{wanted}`; use one of these ids: {}", .matches.join(", "))]
    Several {
        /// The text.
        wanted: String,
        /// How many.
        count: usize,
        /// Some of them.
        matches: Vec<String>,
    },
    /// The text has the wrong form.
    #[error("`{wanted}` is not a device: expected an id (mi-…), a name, or tag:KEY=VALUE")]
    Malformed {
        /// The text.
        wanted: String,
    },
}

impl HasExitCode for TargetError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Call(error) => error.exit_code(),
            Self::None { .. } | Self::Several { .. } => exit::REFUSED,
            Self::Malformed { .. } => exit::USAGE,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Id(&'a str),
    Tag(&'a str, &'a str),
    Name(&'a str),
}

fn parse(text: &str) -> Option<Wanted<'_>> {
    if text.parse::<DeviceId>().is_ok() {
        return Some(Wanted::Id(text));
    }
    match text.strip_prefix("tag:") {
        Some(tag) => tag
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .map(|(key, value)| Wanted::Tag(key, value)),
        None if text.is_empty() => None,
        None => Some(Wanted::Name(text)),
    }
}

/// The id of the device.
///
/// # Errors
/// [`TargetError`].
pub(super) async fn resolve(client: &mut Client, text: &str) -> Result<String, TargetError> {
    let wanted = || text.to_owned();
    let devices = match parse(text).ok_or_else(|| TargetError::Malformed { wanted: wanted() })? {
        Wanted::Id(id) => return Ok(id.to_owned()),
        Wanted::Tag(key, value) => {
            let tag = TagFilter { key: key.to_owned(), values: vec![value.to_owned()] };
            let tag_filters = Some(vec![tag]);
            all(client, SearchDevicesRequest { tag_filters, ..Default::default() }).await?
        }
        Wanted::Name(name) => {
            let name = Some(name.to_owned());
            all(client, SearchDevicesRequest { name, ..Default::default() }).await?
        }
    };
    only_one(&devices, text)
}

/// All devices that match, page by page.
///
/// # Errors
/// [`CallError`].
pub(super) async fn all(
    client: &mut Client,
    mut request: SearchDevicesRequest,
) -> Result<Vec<InstanceInformation>, CallError> {
    request.max_results = Some(MAX_PAGE);
    match client.list(request.clone()).await {
        Err(error) if error.is(ErrorCode::UnknownOperationException.as_str()) => {
            listed(client, &request).await
        }
        done => done,
    }
}

/// The same from a gateway that has no search: AWS's list, and what it does not filter is left out
/// here.
async fn listed(
    client: &mut Client,
    request: &SearchDevicesRequest,
) -> Result<Vec<InstanceInformation>, CallError> {
    let mut filters: Vec<InstanceInformationStringFilter> = Vec::new();
    for tag in request.tag_filters.iter().flatten() {
        let key = format!("tag:{}", tag.key);
        filters.push(InstanceInformationStringFilter { key, values: tag.values.clone() });
    }
    let list = DescribeInstanceInformationRequest {
        filters: if filters.is_empty() { None } else { Some(filters) },
        max_results: Some(PAGE),
        ..Default::default()
    };
    let mut devices = client.list(list).await?;
    devices.retain(|device| {
        request.name.as_ref().is_none_or(|name| is_called(device, name))
            && request.state.as_ref().is_none_or(|state| is_in(device, state))
    });
    Ok(devices)
}

/// Whether a device is in a state of the search.
fn is_in(device: &InstanceInformation, state: &str) -> bool {
    match state {
        "online" => device.ping_status == PingStatus::Online,
        "offline" => device.ping_status != PingStatus::Online,
        other => device.towline_state.as_deref() == Some(other),
    }
}

/// Its name counts; its host name where it has no name.
fn is_called(device: &InstanceInformation, name: &str) -> bool {
    device.name.as_ref().or(device.computer_name.as_ref()).is_some_and(|its| its == name)
}

fn only_one(devices: &[InstanceInformation], wanted: &str) -> Result<String, TargetError> {
    match devices {
        [] => Err(TargetError::None { wanted: wanted.to_owned() }),
        [device] => Ok(device.instance_id.clone()),
        several => {
            let name = |device: &InstanceInformation| {
                let state =
                    if device.ping_status == PingStatus::Online { "online" } else { "offline" };
                format!(
                    "{} ({}, {state})",
                    device.instance_id,
                    device.name.as_deref().unwrap_or("no name")
                )
            };
            let mut matches: Vec<String> =
                several.iter().take(MAX_NAMED_MATCHES).map(name).collect();
            if several.len() > MAX_NAMED_MATCHES {
                matches.push("…".to_owned());
            }
            Err(TargetError::Several { wanted: wanted.to_owned(), count: several.len(), matches })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, name: Option<&str>, host: &str) -> InstanceInformation {
        let json = serde_json::json!({ "InstanceId": id, "PingStatus": "Online", "Name": name, "ComputerName": host });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_device_is_named_by_id_tag_or_name() {
        assert_eq!(parse("mi-0123456789abcdef0"), Some(Wanted::Id("mi-0123456789abcdef0")));
        assert_eq!(parse("tag:site=a=b"), Some(Wanted::Tag("site", "a=b")));
        assert_eq!(parse("pi-4"), Some(Wanted::Name("pi-4")));
        assert_eq!(parse("mi-4"), Some(Wanted::Name("mi-4")));
        for bad in ["", "tag:", "tag:x", "tag:=x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_host_name_counts_only_without_a_name() {
        assert!(is_called(&device("a", Some("pi"), "raspberrypi"), "pi"));
        assert!(!is_called(&device("a", Some("pi"), "raspberrypi"), "raspberrypi"));
        assert!(is_called(&device("a", None, "raspberrypi"), "raspberrypi"));
    }

    #[test]
    fn several_matches_are_named_and_none_is_chosen() {
        let devices: Vec<_> =
            (0..10).map(|n| device(&format!("mi-{n}"), Some("pi"), "h")).collect();
        let error = only_one(&devices, "pi").unwrap_err().to_string();
        assert!(
            error.starts_with("10 devices match `pi`")
                && error.contains("mi-0 (pi, online)")
                && error.ends_with('…')
        );
        assert_eq!(only_one(&[device("mi-1", None, "h")], "h").unwrap(), "mi-1");
        assert!(only_one(&[], "x").unwrap_err().to_string().contains("`x`"));
    }
}
