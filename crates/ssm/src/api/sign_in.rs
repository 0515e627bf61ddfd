//! Sign-ins of browsers (`Towline.CreateSignIn`, `Towline.GetSignIn`, `Towline.DeleteSignIn`).
//!
//! Way: as of [`super`]; operations of ours. All three have an empty request: an access key signs
//! the first, the cookie that its answer sets proves the others.

use serde::{Deserialize, Serialize};

/// A sign-in, as the page needs it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SignedIn {
    /// Name of the user.
    pub principal_name: String,
    /// The user's ARN.
    pub arn: String,
    /// The value of the header `X-Towline-Csrf` in each further request: a secret of the page.
    pub csrf_token: String,
    /// Seconds without a request of the user after which the sign-in ends.
    pub idle_seconds: u64,
    /// Seconds until the sign-in ends, whatever the user does.
    pub remaining_seconds: u64,
}

impl core::fmt::Debug for SignedIn {
    /// Without the token.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SignedIn").field("arn", &self.arn).finish_non_exhaustive()
    }
}
