//! The devices that a SendCommand means, and the policy on each of them.
//!
//! # Invariants
//! - By ids: a device that may not be used is refused by its name. By tags: a refusal says that
//!   some devices are not allowed, and not which, since a caller who may not use a device need not
//!   learn that it exists.

use std::collections::BTreeSet;

use towline_ssm::api::command::{SendCommandRequest, Target};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::DeviceId;
use towline_store::limits::MAX_DEVICES;
use towline_store::{DeviceFilter, DeviceStatus};

use super::super::call::Call;
use super::super::internal::OrInternal as _;
use super::super::service::Api;
use super::send::Facts;
use crate::limits::{MAX_NOTED_TARGETS, TARGETS_AT_ONCE};

impl Api {
    /// The devices, all of them allowed.
    pub(super) async fn devices_meant(
        &self,
        call: &Call,
        request: &SendCommandRequest,
        facts: &Facts,
    ) -> Result<Vec<String>, ApiError> {
        match &request.instance_ids {
            Some(ids) if !ids.is_empty() => self.named(call, ids, facts).await,
            _ => {
                self.by_description(call, request.targets.as_deref().unwrap_or_default(), facts)
                    .await
            }
        }
    }

    async fn named(
        &self,
        call: &Call,
        ids: &[String],
        facts: &Facts,
    ) -> Result<Vec<String>, ApiError> {
        if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
            return Err(ApiError::new(
                ErrorCode::DuplicateInstanceId,
                "InstanceIds names a device twice",
            ));
        }
        for id in ids {
            let mut question = self.about_device(id).await?;
            question.facts.extend(facts.iter().cloned());
            self.authorize(call, &question).await?;
        }
        for id in ids {
            let shown: String = id.chars().take(64).collect();
            let invalid = || {
                let message =
                    format!("{shown} is no device that commands can be sent to; nothing was sent");
                ApiError::new(ErrorCode::InvalidInstanceId, message)
            };
            let device: DeviceId = id.parse().map_err(|_| invalid())?;
            self.active_device(&device).await?.ok_or_else(invalid)?;
        }
        Ok(ids.to_vec())
    }

    async fn by_description(
        &self,
        call: &Call,
        targets: &[Target],
        facts: &Facts,
    ) -> Result<Vec<String>, ApiError> {
        let mut devices: BTreeSet<String> = BTreeSet::new();
        for filter in filters(targets)? {
            let found = self.store().devices().ids(&filter, "", MAX_DEVICES).await;
            devices.extend(found.or_internal("cannot list devices")?);
        }
        let devices: Vec<String> = devices.into_iter().collect();
        if devices.is_empty() {
            let message = "no device matches the targets: nothing was sent";
            return Err(ApiError::new(ErrorCode::InvalidInstanceId, message));
        }
        let (mut denied, mut at) = (0, 0);
        for some in devices.chunks(TARGETS_AT_ONCE) {
            let tags =
                self.store().tags().of_devices(some).await.or_internal("cannot read tags")?;
            let kinds = self.store().devices().agent_kinds(some).await;
            let (mut tags, mut kinds) = (tags, kinds.or_internal("cannot read devices")?);
            for id in some {
                let mut question =
                    self.about_tagged(id, tags.remove(id).unwrap_or_default(), kinds.remove(id));
                question.facts.extend(facts.iter().cloned());
                let allowed = self.would_allow(call, &question).await?;
                denied += usize::from(!allowed);
                if allowed && at < MAX_NOTED_TARGETS {
                    call.asked(question.names.first().map_or("*", String::as_str), true);
                }
                at += 1;
            }
        }
        if denied == 0 {
            return Ok(devices);
        }
        let devices_text =
            if denied == devices.len() { "the devices" } else { "some of the devices" };
        call.asked("*", false);
        let message = format!(
            "User: {} is not authorized to perform: {} on {devices_text} that the targets mean; \
             nothing was sent: \
             narrow the targets to devices that you may use",
            call.caller.arn,
            call.operation.iam_action()
        );
        Err(ApiError::new(ErrorCode::AccessDeniedException, message))
    }
}

/// The store's filters: devices that match one of them are meant.
fn filters(targets: &[Target]) -> Result<Vec<DeviceFilter>, ApiError> {
    let mut base = DeviceFilter { statuses: vec![DeviceStatus::Active], ..DeviceFilter::default() };
    let mut one_of_keys: Option<&[String]> = None;
    for target in targets {
        if target.values.is_empty() && !target.key.starts_with("tag:") {
            return Err(ApiError::validation("a target must have values"));
        }
        match target.key.split_once(':') {
            Some(("tag", key)) if !key.is_empty() => {
                base.tags.push((key.to_owned(), target.values.clone()))
            }
            None if target.key == "tag-key" && one_of_keys.is_none() => {
                one_of_keys = Some(&target.values)
            }
            None if target.key.eq_ignore_ascii_case("InstanceIds") => {
                if !target.values.iter().any(|value| value == "*") {
                    base.ids.extend(target.values.iter().cloned());
                }
            }
            _ => {
                let message = "targets are InstanceIds, tag:KEY, and once tag-key";
                return Err(ApiError::validation(message));
            }
        }
    }
    let Some(keys) = one_of_keys else { return Ok(vec![base]) };
    let with = |key: &String| {
        let mut filter = base.clone();
        filter.tags.push((key.clone(), Vec::new()));
        filter
    };
    Ok(keys.iter().map(with).collect())
}
