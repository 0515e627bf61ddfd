//! What holds for all sign-ins of browsers.

use std::time::Duration;

use crate::origins::Origins;

/// What holds for all sign-ins.
#[derive(Debug, Clone, Default)]
pub struct SignInSettings {
    /// Tells gateways of one host apart: cookies know no port. Letters, digits and `-`.
    pub gateway_id: String,
    /// Pages that may use a sign-in.
    pub origins: Origins,
    /// A sign-in that its user leaves alone for so long ends.
    pub idle: Duration,
    /// A sign-in ends after so long, whatever its user does.
    pub max: Duration,
}
