//! Which steps of a command a device skips, by its system and its agent.
//!
//! Data flow: devices that are meant, plan -> [`Api::suited`] -> the devices that run a step, and
//! the initial steps of each.
//!
//! # Invariants
//! - A device that was named and runs no step is refused by its name; one that a description means
//!   is left out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use towline_ssm::command_document::{Host, Plan, Platform};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::AgentKind;

use crate::api::internal::{OrInternal as _, internal};
use crate::api::service::Api;
use crate::limits::TARGETS_AT_ONCE;
use crate::run_command::StepState;

/// Devices that run a step of a plan.
pub(super) struct Suited {
    pub(super) devices: Vec<String>,
    hosts: HashMap<String, Host>,
    steps: HashMap<Host, String>,
}

impl Suited {
    /// The initial steps of a device, as they are stored.
    pub(super) fn steps(&self, device: &str) -> &str {
        let host = self.hosts.get(device);
        host.and_then(|host| self.steps.get(host)).map_or("[]", String::as_str)
    }
}

impl Api {
    /// The devices that run a step of the plan. `named`: each was asked for by its id.
    pub(super) async fn suited(
        &self,
        devices: Vec<String>,
        plan: &Plan,
        named: bool,
    ) -> Result<Suited, ApiError> {
        let mut suited =
            Suited { devices: Vec::new(), hosts: HashMap::new(), steps: HashMap::new() };
        for some in devices.chunks(TARGETS_AT_ONCE) {
            let systems = self.store().devices().systems(some).await;
            let mut systems = systems.or_internal("cannot read devices")?;
            for id in some {
                let host = host_of(systems.remove(id));
                if !plan.runs_on(host) {
                    if named {
                        return Err(no_step_for(id, host));
                    }
                    continue;
                }
                if let Entry::Vacant(vacant) = suited.steps.entry(host) {
                    let steps = serde_json::to_string(&StepState::first(plan, host));
                    vacant.insert(steps.map_err(|error| internal("a command's steps", &error))?);
                }
                suited.hosts.insert(id.clone(), host);
                suited.devices.push(id.clone());
            }
        }
        if suited.devices.is_empty() {
            let message = "no step of the document is for the systems of the devices that the \
                           targets mean: nothing was sent";
            return Err(ApiError::new(ErrorCode::UnsupportedPlatformType, message));
        }
        Ok(suited)
    }
}

fn no_step_for(device: &str, host: Host) -> ApiError {
    let system = match host {
        Host { platform: Platform::Linux, powershell: false } => "Linux with towline-agent",
        Host { platform, .. } => platform.name(),
    };
    let message =
        format!("no step of the document is for {device}, which has {system}: nothing was sent");
    ApiError::new(ErrorCode::UnsupportedPlatformType, message)
}

/// What a device can run. amazon-ssm-agent runs PowerShell on every system that has it.
fn host_of(system: Option<(AgentKind, String)>) -> Host {
    let (kind, platform) = system.unwrap_or((AgentKind::Towline, String::new()));
    Host {
        platform: Platform::parse(&platform).unwrap_or(Platform::Linux),
        powershell: kind == AgentKind::Vendor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_has_said_nothing_of_its_system_has_linux() {
        let linux = Host { platform: Platform::Linux, powershell: false };
        assert_eq!(host_of(None), linux);
        assert_eq!(host_of(Some((AgentKind::Towline, "Linux".into()))), linux);
        let vendor = host_of(Some((AgentKind::Vendor, "Windows".into())));
        assert_eq!(vendor, Host { platform: Platform::Windows, powershell: true });
    }
}
