//! Keys of devices: listed, rotated, revoked; devices let in, and renamed.

use towline_ssm::api::Empty;
use towline_ssm::api::device::DeviceRemoved;
use towline_ssm::api::device_keys::{
    DeviceKey, DeviceKeyStatus, DeviceRequest, ListDeviceKeysResult, RenameDeviceRequest,
    RevokeDeviceKeyRequest,
};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::DeviceId;
use towline_store::{Device, DeviceStatus, KeyStatus};

use super::call::Call;
use super::internal::OrInternal as _;
use super::named::no_device;
use super::service::Api;
use crate::plane::RotateError;

impl Api {
    pub(super) async fn list_device_keys(
        &self,
        call: &Call,
        request: DeviceRequest,
    ) -> Result<ListDeviceKeysResult, ApiError> {
        let (_, device) = self.device_of(call, &request.instance_id).await?;
        let mut keys = self
            .store()
            .device_keys()
            .of(&device.id)
            .await
            .or_internal("cannot list device keys")?;
        keys.reverse();
        let shown = |key: towline_store::DeviceKey| DeviceKey {
            status: key_status(key.status, device.status),
            key_fingerprint: key.fingerprint,
            created_date: EpochSeconds::from_millis(key.created_at.0),
            ended_date: key.ended_at.map(|at| EpochSeconds::from_millis(at.0)),
        };
        Ok(ListDeviceKeysResult { device_keys: keys.into_iter().map(shown).collect() })
    }

    pub(super) async fn rotate_device_key(
        &self,
        call: &Call,
        request: DeviceRequest,
    ) -> Result<Empty, ApiError> {
        let (id, _) = self.device_of(call, &request.instance_id).await?;
        let fingerprint = self.parts.sessions.rotate_key(&id).await.map_err(|error| {
            let code = match &error {
                RotateError::NotConnected | RotateError::Timeout => ErrorCode::TargetNotConnected,
                RotateError::Refused { .. } => ErrorCode::TargetRefused,
                RotateError::Busy => ErrorCode::TooManyUpdates,
                RotateError::Internal(_) => ErrorCode::InternalServerError,
            };
            ApiError::new(code, error.to_string())
        })?;
        call.note("keyFingerprint", fingerprint);
        Ok(Empty {})
    }

    pub(super) async fn revoke_device_key(
        &self,
        call: &Call,
        request: RevokeDeviceKeyRequest,
    ) -> Result<DeviceRemoved, ApiError> {
        let (id, device) = self.device_of(call, &request.instance_id).await?;
        let reason = format!("revoked by {}", call.caller.arn);
        let fingerprint = request.key_fingerprint.as_deref();
        let keys = self.store().device_keys();
        let revoked = keys
            .revoke(&device.id, fingerprint, &reason, call.now)
            .await
            .or_internal("cannot revoke keys")?;
        if revoked == 0 {
            let which = fingerprint.map_or("no key", |_| "no key with this fingerprint");
            let message = format!("device {} has {which} that is not revoked yet", device.id);
            return Err(ApiError::new(ErrorCode::ResourceNotFoundException, message));
        }
        let left = keys.of(&device.id).await.or_internal("cannot list device keys")?;
        let keys_left = left.iter().filter(|key| key.status == KeyStatus::Active).count();
        if keys_left == 0 {
            let marked =
                self.store().devices().set_status(&device.id, DeviceStatus::Revoked, &reason).await;
            marked.or_internal("cannot mark a device")?;
        }
        call.note("keysRevoked", revoked.to_string());
        // Also with a key left: the link that is up may be the revoked one's, and the other comes
        // back by itself.
        let dropped = self.drop_device(call, &id, "its key was revoked").await;
        Ok(DeviceRemoved {
            towline_keys_revoked: u32::try_from(revoked).ok(),
            towline_keys_left: u32::try_from(keys_left).ok(),
            ..dropped
        })
    }

    pub(super) async fn approve_device(
        &self,
        call: &Call,
        request: DeviceRequest,
    ) -> Result<Empty, ApiError> {
        let (_, device) = self.device_of(call, &request.instance_id).await?;
        match device.status {
            DeviceStatus::Active => return Ok(Empty {}),
            DeviceStatus::Pending | DeviceStatus::Quarantined => {}
            DeviceStatus::Revoked => {
                let message = "the device has no key left: deregister it and enroll it again";
                return Err(ApiError::validation(message));
            }
        }
        let approved = self.store().devices().approve(&device.id, device.status).await;
        if !approved.or_internal("cannot approve a device")? {
            let message = "the status of the device has changed at this moment: look at it again";
            return Err(ApiError::new(ErrorCode::TooManyUpdates, message));
        }
        call.note("was", device.status.as_str());
        Ok(Empty {})
    }

    pub(super) async fn rename_device(
        &self,
        call: &Call,
        request: RenameDeviceRequest,
    ) -> Result<Empty, ApiError> {
        call.note("deviceName", &*request.name);
        let (_, device) = self.device_of(call, &request.instance_id).await?;
        call.note("was", device.name);
        let renamed = self.store().devices().rename(&device.id, &request.name).await;
        if !renamed.or_internal("cannot rename a device")? {
            return Err(no_device(&request.instance_id));
        }
        Ok(Empty {})
    }

    /// The device of a request: authorised, and there.
    async fn device_of(
        &self,
        call: &Call,
        instance_id: &str,
    ) -> Result<(DeviceId, Device), ApiError> {
        call.note("deviceId", instance_id);
        self.authorize(call, &self.about_device(instance_id).await?).await?;
        let unknown = || no_device(instance_id);
        let id: DeviceId = instance_id.parse().map_err(|_| unknown())?;
        let device =
            self.store().devices().get(id.as_str()).await.or_internal("cannot read a device")?;
        Ok((id, device.ok_or_else(unknown)?))
    }
}

const fn key_status(key: KeyStatus, device: DeviceStatus) -> DeviceKeyStatus {
    match (key, device) {
        (KeyStatus::Retired, _) => DeviceKeyStatus::Retired,
        (KeyStatus::Revoked, _) => DeviceKeyStatus::Revoked,
        (KeyStatus::Active, DeviceStatus::Pending) => DeviceKeyStatus::Pending,
        (KeyStatus::Active, DeviceStatus::Quarantined) => DeviceKeyStatus::Quarantined,
        (KeyStatus::Active, DeviceStatus::Active | DeviceStatus::Revoked) => {
            DeviceKeyStatus::Active
        }
    }
}
