//! Bodies of a device's calls on `POST /`, and the answers that the agent needs.

use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// RegisterManagedInstance.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Register {
    /// The activation.
    pub activation_id: String,
    /// Its code.
    pub activation_code: String,
    /// Made by the agent from facts of the machine.
    #[serde(default)]
    pub fingerprint: String,
    /// Base64 of a `SubjectPublicKeyInfo`.
    pub public_key: String,
    /// `Rsa`.
    #[serde(default)]
    pub public_key_type: String,
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register")
            .field("activation_id", &self.activation_id)
            .finish_non_exhaustive()
    }
}

/// UpdateManagedInstancePublicKey.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewKey {
    /// Base64 of a `SubjectPublicKeyInfo`.
    pub new_public_key: String,
}

/// Keys for a device, in the answer to RequestManagedInstanceRoleToken. The agent needs all
/// members.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IssuedKeys {
    /// Names the keys.
    pub access_key_id: String,
    /// Signs.
    pub secret_access_key: String,
    /// Sent with each request.
    pub session_token: String,
    /// When they end, epoch seconds.
    pub token_expiration_date: i64,
    /// The agent is to replace its own key.
    pub update_key_pair: bool,
}

impl fmt::Debug for IssuedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedKeys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// UpdateInstanceInformation. The first one of an agent has four members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    /// The device; it must be the key's.
    pub instance_id: String,
    /// Four dotted numbers.
    pub agent_version: String,
    /// `Active`, or empty in the first one.
    pub agent_status: String,
    /// `Linux`, `Windows` or `MacOS`.
    pub platform_type: String,
    /// The system's name.
    pub platform_name: String,
    /// Its version.
    pub platform_version: String,
    /// Host name.
    pub computer_name: String,
    /// An address of the device, by its own word.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
}

/// GetMessages of the older message service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetMessages {
    /// The device.
    pub destination: String,
    /// Comes back in the answer.
    pub messages_request_id: String,
}

impl GetMessages {
    /// The answer when there is nothing, which is always. A fast one makes the agent ask in a tight
    /// loop: it is given after 20 s.
    #[must_use]
    pub fn nothing(&self) -> Value {
        json!({
            "Destination": self.destination,
            "Messages": [],
            "MessagesRequestId": self.messages_request_id,
        })
    }
}

/// The answer to RegisterManagedInstance.
#[must_use]
pub fn registered(device: &str) -> Value {
    json!({ "InstanceId": device })
}

/// The answer to ListInstanceAssociations.
#[must_use]
pub fn no_associations() -> Value {
    json!({ "Associations": [] })
}
