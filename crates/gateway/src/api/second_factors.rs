//! Second factors of users with access keys: made, enabled, removed, and proved in GetSessionToken.
//!
//! Data flow: CreateSecondFactor shows a secret once -> EnableSecondFactor takes a first code ->
//! GetSessionToken with `SerialNumber` and `TokenCode` -> credentials that policies see as proved
//! by a second factor.
//!
//! # Invariants
//! - A user makes and enables her own factor alone. An administrator removes the factor of another
//!   user (recovery), and what was proved by it counts no more.
//! - Who has lost the factor cannot remove it herself: an access key alone is one factor.

use towline_host::entropy;
use towline_ssm::api::Empty;
use towline_ssm::api::second_factor::{
    CreateSecondFactorRequest, CreateSecondFactorResult, DeleteSecondFactorRequest,
    EnableSecondFactorRequest,
};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{CodeOutcome, Principal, SecondFactor};

use super::call::Call;
use super::internal::OrInternal as _;
use super::named::missing;
use super::root::Root;
use super::service::Api;
use super::totp::{base32, step_of};

/// What a factor proved: its id, and when, in milliseconds.
pub(super) type Proved = (String, i64);

fn failed(why: &str) -> ApiError {
    let message = format!("MultiFactorAuthentication failed: {why}");
    ApiError::new(ErrorCode::AccessDeniedException, message)
}

fn sealed_for(principal: &str) -> String {
    format!("second factor {principal}")
}

impl Api {
    pub(super) async fn create_second_factor(
        &self,
        call: &Call,
        request: CreateSecondFactorRequest,
    ) -> Result<CreateSecondFactorResult, ApiError> {
        let own = self.own_row(call, &request.principal_name).await?;
        let name = own.name.clone();
        let secret: [u8; 20] = entropy::random().or_internal("no secret")?;
        let sealed = self.parts.vault.seal(&sealed_for(&name), &secret);
        let sealed = sealed.or_internal("cannot seal a second factor")?;
        let made = self.store().second_factors().create(&own, &sealed, call.now).await;
        made.or_internal("cannot store a second factor")?;
        let secret = base32(&secret);
        Ok(CreateSecondFactorResult {
            serial_number: self.serial_number(&name),
            uri: format!("otpauth://totp/towline:{name}?secret={secret}&issuer=towline"),
            secret,
        })
    }

    pub(super) async fn enable_second_factor(
        &self,
        call: &Call,
        request: EnableSecondFactorRequest,
    ) -> Result<Empty, ApiError> {
        let name = self.own_row(call, &request.principal_name).await?.name;
        let factor =
            self.factor_of(&name).await?.ok_or_else(|| missing("second factor of user", &name))?;
        self.take_code(call, &name, &factor, &request.token_code).await?;
        Ok(Empty {})
    }

    pub(super) async fn delete_second_factor(
        &self,
        call: &Call,
        request: DeleteSecondFactorRequest,
    ) -> Result<Empty, ApiError> {
        let name = request.principal_name;
        let of = self.existing_user_named(call, &name).await?;
        let factor =
            self.factor_of(&name).await?.ok_or_else(|| missing("second factor of user", &name))?;
        if of.unique_id == call.caller.person.id && factor.is_enabled {
            let code = request.token_code.ok_or_else(|| {
                failed(
                    "your own second factor is removed with a code of it, or by an administrator",
                )
            })?;
            self.take_code(call, &name, &factor, &code).await?;
        }
        let gone = self.store().second_factors().remove(&factor.unique_id).await;
        if gone.or_internal("cannot remove a second factor")? {
            Ok(Empty {})
        } else {
            Err(missing("second factor of user", &name))
        }
    }

    /// What the second factor of a request to STS proves: nothing when it has none.
    pub(super) async fn second_factor_of(
        &self,
        call: &Call,
        serial: Option<&str>,
        code: Option<&str>,
    ) -> Result<Option<Proved>, ApiError> {
        let (serial, code) = match (serial, code) {
            (None, None) => return Ok(None),
            (Some(serial), Some(code)) => (serial, code),
            _ => return Err(failed("SerialNumber and TokenCode are needed together")),
        };
        let name = call.caller.person.name.clone();
        let is_own = call.caller.is_person() && serial == self.serial_number(&name);
        let factor = if is_own { self.factor_of(&name).await? } else { None };
        let factor = factor.filter(|factor| factor.is_enabled);
        let factor =
            factor.ok_or_else(|| failed("no enabled second factor of yours has this number"))?;
        self.take_code(call, &name, &factor, code).await?;
        Ok(Some((factor.unique_id, call.now.0)))
    }

    /// What a code of the caller's own factor proves.
    pub(super) async fn proved_by(&self, call: &Call, code: &str) -> Result<Proved, ApiError> {
        let name = call.caller.person.name.clone();
        let has_key = call.caller.is_person() && matches!(call.caller.root(), Root::Key(_));
        let factor = if has_key { self.factor_of(&name).await? } else { None };
        let factor = factor.filter(|factor| factor.is_enabled);
        let factor = factor.ok_or_else(|| failed("you have no one-time codes"))?;
        self.take_code(call, &name, &factor, code).await?;
        Ok((factor.unique_id, call.now.0))
    }

    /// Whether the caller can prove a code.
    pub(super) async fn has_codes(&self, call: &Call) -> Result<bool, ApiError> {
        if !call.caller.is_person() || !matches!(call.caller.root(), Root::Key(_)) {
            return Ok(false);
        }
        let factor = self.factor_of(&call.caller.person.name).await?;
        Ok(factor.is_some_and(|factor| factor.is_enabled))
    }

    /// When a second factor was proved, if it is still the user's.
    pub(super) async fn still_proved(
        &self,
        name: &str,
        proved: Option<&Proved>,
    ) -> Result<Option<i64>, ApiError> {
        let Some((id, at)) = proved else { return Ok(None) };
        let factor = self.factor_of(name).await?;
        Ok(factor.filter(|factor| factor.unique_id == *id && factor.is_enabled).map(|_| *at))
    }

    /// Takes a code, once.
    async fn take_code(
        &self,
        call: &Call,
        name: &str,
        factor: &SecondFactor,
        code: &str,
    ) -> Result<(), ApiError> {
        let secret = self.parts.vault.open(&sealed_for(name), &factor.sealed);
        let secret = secret.or_internal("a stored second factor does not open")?;
        let step = step_of(&secret, code, call.now.0.div_euclid(1000));
        let counted =
            self.store().second_factors().count(&factor.unique_id, step, true, call.now).await;
        match counted.or_internal("cannot count a code")? {
            CodeOutcome::Taken => {
                call.note("secondFactor", "proved");
                Ok(())
            }
            CodeOutcome::Wrong => {
                Err(failed("the code is wrong, or was used before: wait for the next"))
            }
            CodeOutcome::Blocked => {
                Err(failed("too many wrong codes: wait some minutes, then use a new code"))
            }
        }
    }

    /// The row of the caller, if the request is about her own factor and policy lets her.
    async fn own_row(&self, call: &Call, name: &str) -> Result<Principal, ApiError> {
        let of = self.existing_user_named(call, name).await?;
        let has_key = matches!(call.caller.root(), Root::Key(_)) && call.caller.is_person();
        if of.unique_id != call.caller.person.id || !has_key {
            return Err(ApiError::validation(
                "a user makes and enables her own second factor, with her access key",
            ));
        }
        Ok(of)
    }

    async fn factor_of(&self, name: &str) -> Result<Option<SecondFactor>, ApiError> {
        self.store().second_factors().get(name).await.or_internal("cannot read a second factor")
    }

    fn serial_number(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:mfa/{name}", self.realm().account)
    }
}
