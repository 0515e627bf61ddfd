//! Second factors of users with access keys.
//!
//! Data flow: as in [`super`]; operations of ours. The codes go into GetSessionToken, as at AWS.
//!
//! # Invariants
//! - The secret is shown once, to who made the factor.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Request, Violations};
use crate::ids::UserName;

/// Makes a second factor of the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateSecondFactorRequest {
    /// The caller.
    pub principal_name: String,
}

impl Request for CreateSecondFactorRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.principal_name);
    }
}

/// The answer to it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateSecondFactorResult {
    /// ARN of the factor: `SerialNumber` of GetSessionToken.
    pub serial_number: String,
    /// The secret in base32, for an authenticator.
    pub secret: String,
    /// The same as an address, for a QR code.
    pub uri: String,
}

impl fmt::Debug for CreateSecondFactorResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateSecondFactorResult")
            .field("serial_number", &self.serial_number)
            .finish_non_exhaustive()
    }
}

/// Enables a second factor: a code shows that the authenticator has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnableSecondFactorRequest {
    /// The caller.
    pub principal_name: String,
    /// Six digits.
    pub token_code: String,
}

impl Request for EnableSecondFactorRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.principal_name);
        check_code(v, &self.token_code);
    }
}

/// Removes a second factor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteSecondFactorRequest {
    /// The user.
    pub principal_name: String,
    /// Six digits: needed for the caller's own factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_code: Option<String>,
}

impl Request for DeleteSecondFactorRequest {
    fn check(&self, v: &mut Violations) {
        check_name(v, &self.principal_name);
        if let Some(code) = &self.token_code {
            check_code(v, code);
        }
    }
}

fn check_name(v: &mut Violations, name: &str) {
    v.require(name.parse::<UserName>().is_ok(), "PrincipalName", "be the name of a user");
}

pub(super) fn check_code(v: &mut Violations, code: &str) {
    let good = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
    v.require(good, "TokenCode", "be six digits");
}
