//! The names by which approval policies know people, and what a name that was given before must not
//! inherit.
//!
//! Data flow: a document of approval -> [`Api::principals_exist`] when it is stored; a caller ->
//! [`Names`], compared with approvers; a new principal's name -> [`Api::refuse_if_named`], in the
//! transaction that makes it.
//!
//! # Invariants
//! - A principal that an approval policy names exists when the policy is stored.
//! - A name that an approval policy, an open request for access or an identity provider still holds
//!   is given to no new principal: what it gives was meant for the one before.
//! - An ARN of another account names nobody here.
//!
//! # Not here
//! - Trust policies, which hold ids of principals that are gone: [`super::trust`].

use std::collections::BTreeSet;

use towline_host::clock::UnixMillis;
use towline_ssm::api::provider::ProviderSettings;
use towline_ssm::documents::approval::principals_of;
use towline_ssm::documents::content::{Content, Kind};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::Change;

use super::call::Call;
use super::documents::format_of;
use super::internal::{OrInternal as _, internal};
use super::root::Root;
use super::service::Api;

/// The names under which policies know a caller.
pub(super) struct Names {
    /// Such as `user/ann`.
    bare: BTreeSet<String>,
    account: String,
}

impl Names {
    /// Whether `name` is one of them, or the ARN of one.
    pub(super) fn has(&self, name: &str) -> bool {
        local(name, &self.account).is_some_and(|bare| self.bare.contains(bare))
    }

    #[cfg(test)]
    pub(super) fn of(bare: &[&str]) -> Self {
        let bare = bare.iter().map(|name| (*name).to_owned()).collect();
        Self { bare, account: "000000000000".to_owned() }
    }
}

/// `user/NAME`, `group/NAME` or `role/NAME` of a name or an ARN; nothing for one of another
/// account.
fn local<'n>(name: &'n str, account: &str) -> Option<&'n str> {
    let Some(arn) = name.strip_prefix("arn:aws:iam::") else { return Some(name) };
    let (of, bare) = arn.split_once(':')?;
    (of == account).then_some(bare)
}

/// The name in the store: nothing is in front of a user's.
fn stored(bare: &str) -> &str {
    bare.strip_prefix("user/").unwrap_or(bare)
}

impl Api {
    /// The names of a caller: its role, or the user behind its key with her groups. A person of an
    /// identity provider has the role alone: her name there is no name here.
    pub(super) async fn names_of(&self, call: &Call) -> Result<Names, ApiError> {
        let mut bare = BTreeSet::from([call.caller.principal.clone()]);
        if matches!(call.caller.root(), Root::Key(_)) {
            let person = &call.caller.person.name;
            bare.insert(format!("user/{person}"));
            let groups = self.store().roles().groups_of(person).await;
            bare.extend(groups.or_internal("cannot read groups")?);
        }
        Ok(Names { bare, account: self.realm().account.clone() })
    }

    /// Refuses an approval policy that names nobody under a name.
    ///
    /// # Errors
    /// `InvalidDocumentContent` with the name.
    pub(super) async fn principals_exist(
        &self,
        kind: Kind,
        format: &str,
        content: &str,
    ) -> Result<(), ApiError> {
        if !kind.is_approval() {
            return Ok(());
        }
        let invalid = |why| ApiError::new(ErrorCode::InvalidDocumentContent, why);
        let content = Content::outline(kind, format_of(Some(format)), content)?;
        for name in principals_of(&content)? {
            let bare = local(&name, &self.realm().account)
                .ok_or_else(|| invalid(format!("{name} is of another account")))?;
            let found = self.store().principals().get(stored(bare)).await;
            if found.or_internal("cannot read a principal")?.is_none() {
                return Err(invalid(format!("there is no {bare} here: create it first")));
            }
        }
        Ok(())
    }

    /// Refuses a stored name for a new principal while something holds it.
    ///
    /// # Errors
    /// `ValidationException` with what holds it.
    pub(super) async fn refuse_if_named(
        &self,
        change: &mut Change,
        name: &str,
        now: UnixMillis,
    ) -> Result<(), ApiError> {
        let bare = if name.contains('/') { name.to_owned() } else { format!("user/{name}") };
        let Some(holder) = self.holder_of_name(change, &bare, now).await? else { return Ok(()) };
        Err(ApiError::validation(format!(
            "{holder} still names {bare}, which was removed: a new {bare} would inherit what that \
             one \
             was given; take the name out there first, or choose another name"
        )))
    }

    async fn holder_of_name(
        &self,
        change: &mut Change,
        bare: &str,
        now: UnixMillis,
    ) -> Result<Option<String>, ApiError> {
        let account = &self.realm().account;
        let is_it = |name: &String| local(name, account) == Some(bare);
        let texts = change.approval_texts().await.or_internal("cannot read approval policies")?;
        for text in texts {
            let kind = Kind::parse(&text.kind)
                .ok_or_else(|| internal("a stored document's type", &text.kind))?;
            let content = Content::outline(kind, format_of(Some(&text.format)), &text.content)?;
            if principals_of(&content)?.iter().any(is_it) {
                return Ok(Some(format!("the approval policy {}", text.name)));
            }
        }
        for (request, levels) in
            change.open_levels(now).await.or_internal("cannot read requests")?
        {
            if levels.iter().flat_map(|level| &level.approvers).any(is_it) {
                return Ok(Some(format!("the open request for access {request}")));
            }
        }
        let Some(role) = bare.strip_prefix("role/") else { return Ok(None) };
        let providers = change.provider_settings().await;
        for (provider, settings) in providers.or_internal("cannot read identity providers")? {
            let settings: ProviderSettings = serde_json::from_str(&settings)
                .map_err(|error| internal("stored settings of an identity provider", &error))?;
            let mapped = settings.group_roles.iter().map(|entry| &entry.role);
            if mapped.chain(&settings.default_role).any(|one| one == role) {
                return Ok(Some(format!("the identity provider {provider}")));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_of_another_account_names_nobody_here() {
        let names = Names::of(&["user/ann", "group/ops"]);
        for name in ["user/ann", "group/ops", "arn:aws:iam::000000000000:user/ann"] {
            assert!(names.has(name), "{name}");
        }
        for name in
            ["ann", "user/ops", "arn:aws:iam::111111111111:user/ann", "arn:aws:iam::user/ann"]
        {
            assert!(!names.has(name), "{name}");
        }
    }
}
