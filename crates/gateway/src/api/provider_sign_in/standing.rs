//! Whether what a sign-in hangs on is still there, when it has waited: for the provider, for its
//! program, or for a decision.
//!
//! # Invariants
//! - What was removed or changed meanwhile gives nobody anything, and the words say what it was.

use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::IdentityProvider;

use super::super::internal::OrInternal as _;
use super::super::service::Api;
use super::super::token::Token;
use super::super::web_identity::{settings_of, stopped};

/// The provider is not there any more.
pub(in super::super) fn removed() -> ApiError {
    let message = "the identity provider of this sign-in was removed here: begin again";
    ApiError::new(ErrorCode::AccessDeniedException, message)
}

/// The provider has no client any more.
fn no_people() -> ApiError {
    let message = "the identity provider signs no people in here: it has no client id";
    ApiError::new(ErrorCode::AccessDeniedException, message)
}

/// Goes on only if people may sign in through a provider.
pub(in super::super) fn signs_people_in(provider: &IdentityProvider) -> Result<(), ApiError> {
    if provider.is_disabled {
        return Err(stopped(provider));
    }
    if settings_of(provider)?.client_id.is_none() { Err(no_people()) } else { Ok(()) }
}

impl Api {
    /// Goes on only if the provider is what it was when it was asked.
    pub(super) async fn unchanged(&self, asked: &IdentityProvider) -> Result<(), ApiError> {
        let provider = self.store().identity_providers().of_id(&asked.unique_id).await;
        let provider = provider.or_internal("cannot read an identity provider")?;
        let provider = provider.ok_or_else(removed)?;
        signs_people_in(&provider)?;
        if provider == *asked {
            return Ok(());
        }
        let message = "the identity provider was changed here meanwhile: try again";
        Err(ApiError::new(ErrorCode::TooManyUpdates, message))
    }

    /// Goes on only if credentials that waited for their program hold by now.
    pub(in super::super) async fn still_holds(&self, token: &Token) -> Result<(), ApiError> {
        self.holder(token.clone(), String::new()).await.map(drop)
    }
}
