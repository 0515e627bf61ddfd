//! `devices` and `tag`.

use towline_ssm::Operation;
use towline_ssm::api::Empty;
use towline_ssm::api::device::{
    DescribeInstanceInformationResult, InstanceInformation, PingStatus,
};
use towline_ssm::api::device_search::{SearchDevicesRequest, TagFilter};
use towline_ssm::api::tags::{
    AddTagsToResourceRequest, ListTagsForResourceRequest, ListTagsForResourceResult,
    RemoveTagsFromResourceRequest, Tag,
};

use super::context::{Context, tags, tags_text, time_text};
use super::target;
use crate::args::device::{DeviceState, DevicesArgs, TagArgs};
use crate::exit::Failure;
use crate::output::{Cell, Output};

/// What the API calls a device among the things that have tags.
const DEVICE: &str = "ManagedInstance";

/// `devices`.
pub(super) async fn list(context: &mut Context, args: DevicesArgs) -> Result<(), Failure> {
    let tags = args.tag.into_iter().map(|(key, value)| TagFilter { key, values: vec![value] });
    let state = args.state.map(|state| match state {
        DeviceState::Online => "online".to_owned(),
        DeviceState::Offline => "offline".to_owned(),
        DeviceState::Pending => "pending".to_owned(),
        DeviceState::Quarantined => "quarantined".to_owned(),
    });
    let request =
        SearchDevicesRequest { tag_filters: Some(tags.collect()), state, ..Default::default() };
    let mut devices = target::all(&mut context.client, request).await?;
    if let Some(version) = args.outdated {
        let newest =
            if version.is_empty() { newest(context).await? } else { Version::of(&version) };
        devices.retain(|device| version_of(device) < newest);
    }
    let answer =
        DescribeInstanceInformationResult { instance_information_list: devices, next_token: None };
    context.output.answer(&answer, |output| table(output, &answer.instance_information_list))
}

/// Dotted numbers, compared as numbers: 0.10 is newer than 0.9.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(Vec<u64>);

impl Version {
    /// What is no number counts as 0; zeroes at the end count nothing: an agent calls its 1.2.3
    /// `1.2.3.0`.
    fn of(text: &str) -> Self {
        let mut numbers: Vec<u64> = text.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Self(numbers)
    }
}

fn version_of(device: &InstanceInformation) -> Version {
    Version::of(device.agent_version.as_deref().unwrap_or_default())
}

/// The newest agent among all devices that may be seen.
async fn newest(context: &mut Context) -> Result<Version, Failure> {
    let all = target::all(&mut context.client, SearchDevicesRequest::default()).await?;
    Ok(all.iter().map(version_of).max().unwrap_or(Version(Vec::new())))
}

fn table(output: Output, devices: &[InstanceInformation]) -> String {
    let rows: Vec<Vec<Cell>> = devices
        .iter()
        .map(|device| {
            let platform =
                [&device.platform_name, &device.platform_version].into_iter().flatten().cloned();
            vec![
                device.instance_id.clone().into(),
                device.name.clone().or_else(|| device.computer_name.clone()).into(),
                state(device),
                time_text(device.last_ping_date_time).into(),
                platform.collect::<Vec<_>>().join(" ").into(),
                agent(device).into(),
                device.towline_target.as_deref().map(architecture).into(),
                device.ip_address.clone().into(),
                tags_text(&device.towline_tags).into(),
            ]
        })
        .collect();
    output.table(
        &["ID", "NAME", "STATE", "LAST SEEN", "PLATFORM", "AGENT", "TARGET", "ADDRESS", "TAGS"],
        &rows,
    )
}

/// The agent's version, its name where it is not ours, and its processes where two are wanted.
fn agent(device: &InstanceInformation) -> Option<String> {
    let vendor = device.towline_agent_kind.as_deref() == Some("vendor");
    let processes = match device.towline_separation.as_deref() {
        None | Some("off") => None,
        Some("separate") => Some("two processes"),
        Some(_) => Some("one process"),
    };
    match &device.agent_version {
        Some(version) if let Some(processes) = processes => Some(format!("{version}, {processes}")),
        Some(version) if vendor => Some(format!("amazon-ssm-agent {version}")),
        None if vendor => Some("amazon-ssm-agent".to_owned()),
        version => version.clone(),
    }
}

/// What tells one target of ours from another: all are Linux.
fn architecture(triple: &str) -> String {
    triple.replacen("-unknown-linux", "", 1)
}

fn state(device: &InstanceInformation) -> Cell {
    match (&device.towline_state, device.ping_status) {
        (Some(state), _) => Cell::Bad(state.clone()),
        (None, PingStatus::Online) => Cell::Good("online".to_owned()),
        (None, PingStatus::ConnectionLost) => Cell::Bad("offline".to_owned()),
        (None, PingStatus::Inactive) => Cell::Bad("never seen".to_owned()),
    }
}

/// `tag`.
pub(super) async fn tag(context: &mut Context, args: TagArgs) -> Result<(), Failure> {
    let resource_id = context.device(&args.device).await?;
    let resource_type = || DEVICE.to_owned();
    let only_shows = args.set.is_empty() && args.remove.is_empty();
    if !args.set.is_empty() {
        let request = AddTagsToResourceRequest {
            resource_type: resource_type(),
            resource_id: resource_id.clone(),
            tags: tags(args.set),
        };
        let _: Empty = context.call(Operation::AddTagsToResource, &request).await?;
    }
    if !args.remove.is_empty() {
        let request = RemoveTagsFromResourceRequest {
            resource_type: resource_type(),
            resource_id: resource_id.clone(),
            tag_keys: args.remove,
        };
        let _: Empty = context.call(Operation::RemoveTagsFromResource, &request).await?;
    }
    // To set tags is no right to read them, so they are shown only when that is what was asked.
    if only_shows { show_tags(context, resource_id).await } else { context.output.done() }
}

async fn show_tags(context: &mut Context, resource_id: String) -> Result<(), Failure> {
    let request = ListTagsForResourceRequest { resource_type: DEVICE.to_owned(), resource_id };
    let answer: ListTagsForResourceResult =
        context.call(Operation::ListTagsForResource, &request).await?;
    context.output.answer(&answer, |output| {
        let row = |tag: &Tag| vec![Cell::from(tag.key.clone()), tag.value.clone().into()];
        output.table(&["KEY", "VALUE"], &answer.tag_list.iter().map(row).collect::<Vec<_>>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_named_where_two_are_wanted() {
        for (said, shown) in [
            (None, "0.1.0.0"),
            (Some("off"), "0.1.0.0"),
            (Some("separate"), "0.1.0.0, two processes"),
            (Some("impossible: the agent is not root"), "0.1.0.0, one process"),
        ] {
            let told = serde_json::json!({
                "InstanceId": "mi-1",
                "PingStatus": "Online",
                "AgentVersion": "0.1.0.0",
                "TowlineSeparation": said,
            });
            let device = serde_json::from_value(told).unwrap();
            assert_eq!(agent(&device).as_deref(), Some(shown));
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (older, newer) in
            [("0.9.0.0", "0.10.0"), ("1.2.3.0", "1.2.4"), ("", "0.1"), ("1.2", "1.2.0.1")]
        {
            assert!(Version::of(older) < Version::of(newer), "{older} {newer}");
        }
        assert_eq!(Version::of("1.2.3.0"), Version::of("1.2.3"));
    }
}
