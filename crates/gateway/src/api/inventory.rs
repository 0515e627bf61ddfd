//! GetInventory: devices as `AWS:InstanceInformation`, for tools that find them so.
//!
//! Data flow: the store's devices, page by page -> the attributes of AWS's agent -> the request's
//! filters -> the answer.
//!
//! # Invariants
//! - A device shows the same facts as in DescribeInstanceInformation.
//!
//! # Not here
//! - Other types of inventory: devices report none.

use std::collections::BTreeMap;

use towline_ssm::api::device::{InstanceInformation, PingStatus};
use towline_ssm::api::inventory::{
    GetInventoryRequest, GetInventoryResult, INSTANCE_INFORMATION, InventoryEntity, InventoryItem,
};
use towline_ssm::error::ApiError;
use towline_store::DeviceFilter;

use super::authz::Question;
use super::call::Call;
use super::internal::OrInternal as _;
use super::service::Api;
use crate::limits::DEVICES_PER_SCAN;

/// Page size when none is asked for, and the greatest, as in AWS's model.
const PAGE: i64 = 50;
/// Version of the attributes.
const SCHEMA_VERSION: &str = "1.0";

impl Api {
    pub(super) async fn get_inventory(
        &self,
        call: &Call,
        request: GetInventoryRequest,
    ) -> Result<GetInventoryResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let mut after = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let served = request.is_served()?;
        let size = usize::try_from(request.max_results.unwrap_or(PAGE)).unwrap_or(usize::MAX);
        let all = DeviceFilter::default();
        let captured = call.now.to_rfc3339();
        let mut found = Vec::new();
        while served && found.len() <= size {
            let listed = self.store().devices().list(&all, &after, DEVICES_PER_SCAN).await;
            let rows = listed.or_internal("cannot list devices")?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            for device in rows {
                let ping = self.ping(&device).await;
                let attributes = attributes(self.shown(device, ping).await?);
                if found.len() <= size && request.takes(&attributes) {
                    found.push(entity(&attributes, &captured));
                }
            }
        }
        let (entities, next_token) =
            super::paging::page(found, size, &self.pages, call.operation, |one| one.id.clone());
        Ok(GetInventoryResult { entities, next_token })
    }
}

/// The attributes that AWS's agent reports. Absent facts are left out.
fn attributes(device: InstanceInformation) -> BTreeMap<String, String> {
    let status = match device.ping_status {
        PingStatus::Online => "Active",
        PingStatus::ConnectionLost => "ConnectionLost",
        PingStatus::Inactive => "Inactive",
    };
    let all = [
        ("AgentType", Some("towline-agent".to_owned())),
        ("AgentVersion", device.agent_version),
        ("ComputerName", device.computer_name),
        ("InstanceId", Some(device.instance_id)),
        ("InstanceStatus", Some(status.to_owned())),
        ("IpAddress", device.ip_address),
        ("PlatformName", device.platform_name),
        ("PlatformType", device.platform_type),
        ("PlatformVersion", device.platform_version),
        ("ResourceType", device.resource_type),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn entity(attributes: &BTreeMap<String, String>, captured: &str) -> InventoryEntity {
    let item = InventoryItem {
        type_name: INSTANCE_INFORMATION.to_owned(),
        schema_version: SCHEMA_VERSION.to_owned(),
        capture_time: Some(captured.to_owned()),
        content: vec![attributes.clone()],
    };
    InventoryEntity {
        id: attributes.get("InstanceId").cloned().unwrap_or_default(),
        data: BTreeMap::from([(INSTANCE_INFORMATION.to_owned(), item)]),
    }
}
