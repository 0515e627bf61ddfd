//! UpdateInstanceInformation, and the system that a control channel is opened with: what a device
//! says about itself.
//!
//! # Invariants
//! - It is written when it is news, or when the last sign of life is older than
//!   [`VENDOR_HEALTH_EVERY`]: 10,000 devices with an agent that reports every five minutes cost few
//!   writes.
//! - Every text is made harmless before it is stored.

use std::net::IpAddr;

use towline_host::clock::UnixMillis;
use towline_ssm::command_document::Platform;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::vendor::calls::Health;
use towline_store::{Device, DeviceReport, SignOfLife};
use towline_wire::text::plain;

use super::agents::VendorAgents;
use super::proof::internal;
use crate::limits::{MAX_DEVICE_REPORT, VENDOR_HEALTH_EVERY};

impl VendorAgents {
    /// Stores a report of a device.
    pub(super) async fn health(
        &self,
        device: &Device,
        health: &Health,
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<(), ApiError> {
        if health.instance_id != device.id {
            let message = "InstanceId must be the device that signs";
            return Err(ApiError::new(ErrorCode::AccessDeniedException, message));
        }
        let (report, ip) = (report(&device.report, health), source.to_string());
        let due = now.0 >= device.last_ping.plus(VENDOR_HEALTH_EVERY).0;
        if due || report != device.report || ip != device.ip {
            let arrival = Some((report, ip));
            let sign = SignOfLife { id: device.id.clone(), at: now, arrival, boot: None };
            if self.signs.write(sign).await != Some(true) {
                return Err(internal("a device's report cannot be stored", &device.id));
            }
        }
        Ok(())
    }

    /// The system of a device whose control channel is opened with this word: the word's, which the
    /// device's row has when this returns, or the row's. Policies judge by the row.
    pub(super) async fn system_of(&self, device: &Device, word: &str) -> Option<Platform> {
        let stored = device.report.said_system().and_then(Platform::parse);
        let Some(said) = Platform::parse(word) else { return stored };
        if said != stored.unwrap_or(Platform::Linux) {
            let devices = self.parts.store.devices();
            if let Err(error) = devices.set_platform_type(&device.id, said.name()).await {
                tracing::warn!(device = device.id, %error, "a device's system is not stored");
            }
        }
        Some(said)
    }
}

/// The report, with what was known where the agent says nothing: its first one has four members.
fn report(known: &DeviceReport, health: &Health) -> DeviceReport {
    let told = |text: &str, known: &str| {
        if text.is_empty() { known.to_owned() } else { plain(text, MAX_DEVICE_REPORT) }
    };
    let platform_type = match health.platform_type.as_str() {
        kind @ ("Linux" | "Windows" | "MacOS") => kind,
        _ => &known.platform_type,
    };
    DeviceReport {
        agent_version: told(&health.agent_version, &known.agent_version),
        platform_name: told(&health.platform_name, &known.platform_name),
        platform_version: told(&health.platform_version, &known.platform_version),
        hostname: told(&health.computer_name, &known.hostname),
        target: String::new(),
        platform_type: platform_type.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_report_keeps_what_is_known_and_a_hostile_one_is_made_harmless() {
        let known = DeviceReport { hostname: "box".into(), ..DeviceReport::default() };
        let bare = Health { platform_type: "Windows".into(), ..Health::default() };
        let first = report(&known, &bare);
        assert_eq!((first.hostname.as_str(), first.platform_type.as_str()), ("box", "Windows"));
        let hostile = Health {
            platform_type: "\u{1b}[2J".into(),
            computer_name: "a\u{1b}]0;b".into(),
            platform_name: "x".repeat(10_000),
            ..Health::default()
        };
        let second = report(&first, &hostile);
        assert_eq!(second.platform_type, "Windows");
        assert_eq!(second.hostname, "a ]0;b");
        assert_eq!(second.platform_name.len(), MAX_DEVICE_REPORT);
    }
}
