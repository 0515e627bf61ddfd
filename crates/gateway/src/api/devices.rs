//! Devices: listed, asked for their connection, forgotten.

use std::collections::BTreeMap;

use towline_ssm::api::device::{
    ConnectionStatus, DeregisterManagedInstanceRequest, DescribeInstanceInformationRequest,
    DescribeInstanceInformationResult, DeviceFilter as Condition, DeviceRemoved,
    GetConnectionStatusRequest, GetConnectionStatusResponse, InstanceInformation, PingStatus,
};
use towline_ssm::api::tags::Tag;
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::DeviceId;
use towline_store::{AgentKind, Device, DeviceFilter, DeviceStatus, TagKind};

use super::authz::Question;
use super::call::Call;
use super::internal::OrInternal as _;
use super::named::no_device;
use super::service::Api;
use crate::limits::DEVICES_PER_SCAN;
use crate::plane::Found;

/// Page size when none is asked for, and the greatest, as in AWS's model.
const PAGE: i64 = 50;

/// What the store filters, and what is known only here.
#[derive(Default)]
struct Wanted {
    stored: DeviceFilter,
    ping: Option<Vec<PingStatus>>,
    /// Some condition that no device here can meet.
    nothing: bool,
}

impl Api {
    pub(super) async fn connection_status(
        &self,
        call: &Call,
        request: GetConnectionStatusRequest,
    ) -> Result<GetConnectionStatusResponse, ApiError> {
        call.note("target", &*request.target);
        self.authorize(call, &self.about_device(&request.target).await?).await?;
        let connected = match request.target.parse::<DeviceId>() {
            Ok(id) => self.active_device(&id).await?.is_some() && self.is_connected(&id).await,
            Err(_) => false,
        };
        let status =
            if connected { ConnectionStatus::Connected } else { ConnectionStatus::NotConnected };
        Ok(GetConnectionStatusResponse { target: request.target, status })
    }

    /// The device, if it is there and may be used.
    pub(super) async fn active_device(&self, id: &DeviceId) -> Result<Option<Device>, ApiError> {
        let device =
            self.store().devices().get(id.as_str()).await.or_internal("cannot read a device")?;
        Ok(device.filter(|device| device.status == DeviceStatus::Active))
    }

    pub(super) async fn describe_devices(
        &self,
        call: &Call,
        request: DescribeInstanceInformationRequest,
    ) -> Result<DescribeInstanceInformationResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let mut after = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let wanted = wanted(&request)?;
        let size = usize::try_from(request.max_results.unwrap_or(PAGE)).unwrap_or(usize::MAX);
        let mut found: Vec<InstanceInformation> = Vec::new();
        while !wanted.nothing && found.len() <= size {
            let rows = self
                .store()
                .devices()
                .list(&wanted.stored, &after, DEVICES_PER_SCAN)
                .await
                .or_internal("cannot list devices")?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            for device in rows {
                let ping = self.ping(&device).await;
                if found.len() <= size
                    && wanted.ping.as_ref().is_none_or(|pings| pings.contains(&ping))
                {
                    found.push(self.shown(device, ping).await?);
                }
            }
        }
        let (found, next_token) =
            super::paging::page(found, size, &self.pages, call.operation, |device| {
                device.instance_id.clone()
            });
        Ok(DescribeInstanceInformationResult { instance_information_list: found, next_token })
    }

    pub(super) async fn is_connected(&self, id: &DeviceId) -> bool {
        match self.parts.presence.whereabouts(id).await {
            Found::Here(()) | Found::There => true,
            Found::Nowhere => false,
        }
    }

    pub(super) async fn ping(&self, device: &Device) -> PingStatus {
        if device.status != DeviceStatus::Active {
            return PingStatus::Inactive;
        }
        match device.id.parse::<DeviceId>() {
            Ok(id) if self.is_connected(&id).await => PingStatus::Online,
            _ => PingStatus::ConnectionLost,
        }
    }

    pub(super) async fn shown(
        &self,
        device: Device,
        ping: PingStatus,
    ) -> Result<InstanceInformation, ApiError> {
        let tags = self
            .store()
            .tags()
            .of(TagKind::Device, &device.id)
            .await
            .or_internal("cannot read tags")?;
        Ok(self.shown_with(device, ping, tags))
    }

    /// The device as clients see it, with tags that are read already.
    pub(super) fn shown_with(
        &self,
        device: Device,
        ping: PingStatus,
        tags: BTreeMap<String, String>,
    ) -> InstanceInformation {
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let seen =
            if ping == PingStatus::Online { self.parts.clock.now() } else { device.last_ping };
        InstanceInformation {
            ping_status: ping,
            last_ping_date_time: Some(EpochSeconds::from_millis(seen.0)),
            is_latest_version: is_latest(&device),
            agent_version: text(device.report.agent_version),
            platform_type: text(device.report.platform_type),
            platform_name: text(device.report.platform_name),
            platform_version: text(device.report.platform_version),
            activation_id: text(device.activation_id),
            iam_role: text(device.iam_role),
            registration_date: Some(EpochSeconds::from_millis(device.registered_at.0)),
            resource_type: Some("ManagedInstance".to_owned()),
            name: text(device.name),
            ip_address: text(device.ip),
            computer_name: text(device.report.hostname),
            towline_target: text(device.report.target),
            towline_tags: tags.into_iter().map(|(key, value)| Tag { key, value }).collect(),
            towline_agent_kind: Some(device.agent_kind.as_str().to_owned()),
            towline_separation: self.parts.presence.separation(&device.id),
            towline_state: Some(device.status.as_str().to_owned())
                .filter(|_| device.status != DeviceStatus::Active),
            instance_id: device.id,
        }
    }

    pub(super) async fn deregister(
        &self,
        call: &Call,
        request: DeregisterManagedInstanceRequest,
    ) -> Result<DeviceRemoved, ApiError> {
        call.note("deviceId", &*request.instance_id);
        self.authorize(call, &self.about_device(&request.instance_id).await?).await?;
        let unknown = || no_device(&request.instance_id);
        let id: DeviceId = request.instance_id.parse().map_err(|_| unknown())?;
        let removed = self
            .store()
            .devices()
            .remove(id.as_str(), call.now)
            .await
            .or_internal("cannot remove a device")?;
        if !removed {
            return Err(unknown());
        }
        let dropped = self.drop_device(call, &id, "the device was deregistered").await;
        self.parts.commands.device_removed(&id).await;
        Ok(dropped)
    }

    /// Ends the device's sessions and its connection; what the caller and the trail are told.
    pub(super) async fn drop_device(&self, call: &Call, id: &DeviceId, why: &str) -> DeviceRemoved {
        let dropped = self.parts.sessions.drop_device(id, why).await.here().unwrap_or_default();
        call.note("sessionsEnded", dropped.ended.to_string());
        call.note("sessionsNotReached", dropped.unreached.to_string());
        DeviceRemoved {
            towline_keys_revoked: None,
            towline_keys_left: None,
            towline_sessions_ended: Some(dropped.ended),
            towline_sessions_not_reached: Some(dropped.unreached),
        }
    }
}

/// Whether an agent of ours is at least as new as this gateway, with which agents are released.
fn is_latest(device: &Device) -> Option<bool> {
    let agent = &device.report.agent_version;
    let parts = |version: &str| {
        version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>()
    };
    (!agent.is_empty() && device.agent_kind == AgentKind::Towline)
        .then(|| parts(agent) >= parts(env!("CARGO_PKG_VERSION")))
}

fn wanted(request: &DescribeInstanceInformationRequest) -> Result<Wanted, ApiError> {
    let mut wanted = Wanted::default();
    for condition in request.conditions()? {
        match condition {
            Condition::Tag(key, values) => {
                wanted.stored.tags.push((key.to_owned(), values.to_vec()))
            }
            // One of several keys: the store asks for each alone, so more than one cannot be said
            // to it.
            Condition::TagKey([key]) => wanted.stored.tags.push((key.clone(), vec![])),
            Condition::TagKey(_) => {
                return Err(ApiError::new(
                    ErrorCode::InvalidInstanceInformationFilterValue,
                    "tag-key takes one value",
                ));
            }
            Condition::Property(key, values) => property(&mut wanted, key, values)?,
        }
    }
    Ok(wanted)
}

fn property(wanted: &mut Wanted, key: &str, values: &[String]) -> Result<(), ApiError> {
    let has = |word: &str| values.iter().any(|value| value == word);
    match key {
        "InstanceIds" => {
            if !values.iter().all(|value| value.parse::<DeviceId>().is_ok()) {
                let message =
                    "InstanceIds must be ids of devices: `mi-` and 17 lower-case hex digits";
                return Err(ApiError::new(ErrorCode::InvalidInstanceId, message));
            }
            wanted.stored.ids.extend(values.iter().cloned());
        }
        "ActivationIds" => wanted.stored.activation_ids.extend(values.iter().cloned()),
        "AgentVersion" => wanted.stored.agent_versions.extend(values.iter().cloned()),
        "IamRole" => wanted.stored.iam_roles.extend(values.iter().cloned()),
        "PingStatus" => {
            let all = [
                ("Online", PingStatus::Online),
                ("ConnectionLost", PingStatus::ConnectionLost),
                ("Inactive", PingStatus::Inactive),
            ];
            let asked = all
                .into_iter()
                .filter(|(word, _)| has(word))
                .map(|(_, ping)| ping)
                .collect::<Vec<_>>();
            if asked.is_empty() {
                let message = "PingStatus must be Online, ConnectionLost or Inactive";
                return Err(ApiError::new(
                    ErrorCode::InvalidInstanceInformationFilterValue,
                    message,
                ));
            }
            wanted.ping = Some(asked);
        }
        "PlatformTypes" => wanted.stored.platform_types.extend(values.iter().cloned()),
        "ResourceType" => wanted.nothing |= !has("ManagedInstance"),
        _ => wanted.nothing = true, // AssociationStatus: there are no associations here
    }
    Ok(())
}
