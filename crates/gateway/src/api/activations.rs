//! Activations: made with their code shown once, listed without it, removed.
//!
//! # Not here
//! - Their use by devices: [`crate::devices::enrollment`].

use std::time::Duration;

use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_ssm::api::Empty;
use towline_ssm::api::activation::{
    Activation, CreateActivationRequest, CreateActivationResult, DeleteActivationRequest,
    DescribeActivationsRequest, DescribeActivationsResult,
};
use towline_ssm::api::tags::{MAX_TAGS_PER_RESOURCE, Tag};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::hex_lower;
use towline_store::{ActivationFilter, NewActivation};

use super::authz::Question;
use super::call::Call;
use super::internal::OrInternal as _;
use super::paging::page;
use super::service::Api;
use super::tags::{TAG_KEYS, tag_values};
use crate::devices::enrollment::hash_code;

const DAY: Duration = Duration::from_secs(86_400);
/// Life of an activation that says nothing: a day, as at AWS.
const DEFAULT_LIFE: Duration = DAY;
/// Longest life of an activation. AWS has 30 days; users with devices in boxes asked for more
/// (user-asks 52).
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 86_400);
/// Page size when none is asked for, and the greatest, as in AWS's model.
const PAGE: i64 = 50;

impl Api {
    pub(super) async fn create_activation(
        &self,
        call: &Call,
        request: CreateActivationRequest,
    ) -> Result<CreateActivationResult, ApiError> {
        // Who may not set a tag may not let a device bring it either.
        let device_keys = request.towline_device_tag_keys;
        let keys = request.tags.iter().map(|tag| tag.key.clone());
        let mut question = Question::anything()
            .with(TAG_KEYS, keys.chain(device_keys.iter().cloned()))
            .with("towline:DeviceTagKeys", device_keys.iter().cloned());
        question.facts.extend(tag_values(&request.tags));
        self.authorize(call, &question).await?;
        if request.tags.len() + device_keys.len() > MAX_TAGS_PER_RESOURCE {
            let message = format!("a device can have {MAX_TAGS_PER_RESOURCE} tags");
            return Err(ApiError::new(ErrorCode::InvalidParameters, message));
        }
        let expires_at = expiry(request.expiration_date, call.now)?;
        let id = entropy::uuid().or_internal("no activation id")?;
        let code = hex_lower(&entropy::random::<20>().or_internal("no activation code")?);
        let new = NewActivation {
            id: id.clone(),
            code_hash: hash_code(&code),
            description: request.description.unwrap_or_default(),
            default_name: request.default_instance_name.unwrap_or_default(),
            iam_role: request.iam_role,
            tags: request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            device_tag_keys: device_keys,
            uses_allowed: request.registration_limit.unwrap_or(1),
            require_approval: request.towline_require_approval,
            source_cidr: request.towline_source_cidr.unwrap_or_default(),
            created_by: call.caller.arn.clone(),
            expires_at,
        };
        self.store()
            .activations()
            .create(&new, call.now)
            .await
            .or_internal("cannot store an activation")?;
        call.note("activationId", &*id);
        Ok(CreateActivationResult {
            activation_id: id,
            activation_code: code,
            towline_authority: self.parts.authority.clone(),
        })
    }

    pub(super) async fn describe_activations(
        &self,
        call: &Call,
        request: DescribeActivationsRequest,
    ) -> Result<DescribeActivationsResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let after = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let size = request.max_results.unwrap_or(PAGE);
        let filter = filter(&request)?;
        let rows = self
            .store()
            .activations()
            .list(&filter, &after, size + 1)
            .await
            .or_internal("cannot list activations")?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (rows, next_token) =
            page(rows, size, &self.pages, call.operation, |row| row.new.id.clone());
        Ok(DescribeActivationsResult {
            activation_list: rows.into_iter().map(|row| shown(row, call.now)).collect(),
            next_token,
        })
    }

    pub(super) async fn delete_activation(
        &self,
        call: &Call,
        request: DeleteActivationRequest,
    ) -> Result<Empty, ApiError> {
        call.note("activationId", &*request.activation_id);
        self.authorize(call, &Question::anything()).await?;
        let deleted = self.store().activations().delete(&request.activation_id).await;
        if deleted.or_internal("cannot delete an activation")? {
            Ok(Empty {})
        } else {
            Err(ApiError::new(ErrorCode::InvalidActivation, "no activation has this id"))
        }
    }
}

#[allow(clippy::cast_precision_loss)] // seconds of this millennium
fn expiry(asked: Option<EpochSeconds>, now: UnixMillis) -> Result<UnixMillis, ApiError> {
    let Some(asked) = asked else { return Ok(now.plus(DEFAULT_LIFE)) };
    let at = UnixMillis::from_epoch_seconds(asked.secs() as f64);
    if at <= now || at > now.plus(LONGEST_LIFE) {
        let message = "ExpirationDate must lie in the future, at most 366 days from now";
        return Err(ApiError::new(ErrorCode::InvalidParameters, message));
    }
    Ok(at)
}

fn filter(request: &DescribeActivationsRequest) -> Result<ActivationFilter, ApiError> {
    let mut filter = ActivationFilter::default();
    for one in request.filters.as_deref().unwrap_or_default() {
        let place = match one.filter_key.as_deref() {
            Some("ActivationIds") => &mut filter.ids,
            Some("DefaultInstanceName") => &mut filter.default_names,
            Some("IamRole") => &mut filter.iam_roles,
            _ => {
                let message = "FilterKey must be ActivationIds, DefaultInstanceName or IamRole";
                return Err(ApiError::new(ErrorCode::InvalidFilter, message));
            }
        };
        place.extend(one.filter_values.iter().cloned());
    }
    Ok(filter)
}

fn shown(row: towline_store::Activation, now: UnixMillis) -> Activation {
    let new = row.new;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    Activation {
        activation_id: new.id,
        description: text(new.description),
        default_instance_name: text(new.default_name),
        iam_role: new.iam_role,
        registration_limit: new.uses_allowed,
        registrations_count: row.uses,
        expiration_date: EpochSeconds::from_millis(new.expires_at.0),
        expired: new.expires_at <= now,
        created_date: EpochSeconds::from_millis(row.created_at.0),
        tags: new.tags.into_iter().map(|(key, value)| Tag { key, value }).collect(),
        towline_require_approval: new.require_approval,
        towline_source_cidr: text(new.source_cidr),
        towline_device_tag_keys: new.device_tag_keys,
    }
}
