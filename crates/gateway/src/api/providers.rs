//! Administration of identity providers, and of the people and jobs that they vouched for.
//!
//! # Invariants
//! - The client's secret is stored sealed and never shown.
//! - Every change counts with the next request: keys and endpoints that were kept are forgotten.
//! - Removing or stopping a provider, or blocking one of its people, ends its credentials; sessions
//!   that are open are ended or counted, as for users.
//! - What a stop or a block has ended stays ended when provider or person is let in again.
//! - An issuer by http is taken only where the gateway may ask it: [`crate::outbound`].

use towline_host::clock::UnixMillis;
use towline_oidc::{ClaimPath, Discovery, is_issuer};
use towline_ssm::api::admin::RightsRemoved;
use towline_ssm::api::provider::{
    CreateIdentityProviderRequest, DISABLED, ENABLED, FederatedPerson, IdentityProvider,
    IdentityProviderResult, ListFederatedPeopleRequest, ListFederatedPeopleResult,
    ListIdentityProvidersRequest, ListIdentityProvidersResult, OWN, ProviderRequest,
    ProviderSettings, SHARED, UpdateFederatedPersonRequest, UpdateIdentityProviderRequest,
    UpdateIdentityProviderResult, UpdateIdentityProviderStatusRequest,
    UpdateIdentityProviderStatusResult,
};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::ApiError;

use super::authz::Question;
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::named::{made, missing};
use super::paging::page;
use super::provider_sign_in::{callback_path, own_path};
use super::removal::{Left, LostRole};
use super::service::Api;
use super::web_identity::settings_of;

type Row = towline_store::IdentityProvider;

/// The step of the schema with which a gateway knows that providers can be stopped.
const KNOWS_STOPS: i64 = 86;

/// Page size when none is asked for.
const PAGE: i64 = 100;

impl Api {
    pub(super) async fn create_identity_provider(
        &self,
        call: &Call,
        request: CreateIdentityProviderRequest,
    ) -> Result<IdentityProviderResult, ApiError> {
        call.note("issuer", &*request.issuer);
        self.about_provider(call, &request.provider_name).await?;
        if !is_issuer(&request.issuer) {
            return Err(ApiError::validation(
                "Issuer must be a URL of https without query and fragment, exactly as tokens have \
                 it \
                 in the claim iss",
            ));
        }
        let url = Discovery::url(&request.issuer);
        let may = self.parts.providers.client().may_ask(&url).await;
        may.map_err(|error| ApiError::validation(format!("Issuer: {error}")))?;
        self.check_settings(&request.settings).await?;
        let secret = self.sealed_secret(&request.issuer, request.client_secret.as_deref())?;
        let mut row = Row {
            name: request.provider_name,
            unique_id: String::new(),
            issuer: request.issuer,
            settings: text_of(&request.settings)?,
            secret,
            created_at: call.now,
            changed_at: call.now,
            is_disabled: false,
            holds_since: UnixMillis(0),
            own_redirect: request.redirect_address.as_deref() != Some(SHARED),
        };
        let stored = self.store().identity_providers().create(&row).await;
        let shown = format!("identity provider {} of {}", row.name, row.issuer);
        row.unique_id = made(stored, &shown, "cannot store an identity provider")?;
        Ok(IdentityProviderResult { identity_provider: self.shown_provider(&row)? })
    }

    pub(super) async fn list_identity_providers(
        &self,
        call: &Call,
        _: ListIdentityProvidersRequest,
    ) -> Result<ListIdentityProvidersResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let rows = self.store().identity_providers().list().await;
        let rows = rows.or_internal("cannot list identity providers")?;
        let shown = rows.iter().map(|row| self.shown_provider(row));
        Ok(ListIdentityProvidersResult { identity_providers: shown.collect::<Result<_, _>>()? })
    }

    pub(super) async fn get_identity_provider(
        &self,
        call: &Call,
        request: ProviderRequest,
    ) -> Result<IdentityProviderResult, ApiError> {
        let row = self.permitted_provider(call, &request.provider_name).await?;
        Ok(IdentityProviderResult { identity_provider: self.shown_provider(&row)? })
    }

    pub(super) async fn update_identity_provider(
        &self,
        call: &Call,
        request: UpdateIdentityProviderRequest,
    ) -> Result<UpdateIdentityProviderResult, ApiError> {
        let mut row = self.permitted_provider(call, &request.provider_name).await?;
        let before = settings_of(&row)?;
        // Nothing is registered yet at a provider that gets its first client.
        let first = (before.client_id.is_none() && !row.own_redirect).then_some(true);
        let asked = request.redirect_address.as_deref().map(|address| address == OWN);
        self.move_redirect(&mut row, asked.or(first), call.now).await?;
        if request.is_move() {
            return self.moved(&row);
        }
        self.check_settings(&request.settings).await?;
        let lost = lost_roles(&before, &request.settings);
        row.settings = text_of(&request.settings)?;
        let had_secret = row.secret.is_some();
        row.secret = self.sealed_secret(&row.issuer, request.client_secret.as_deref())?;
        row.changed_at = call.now;
        let done = self.store().identity_providers().update(&row).await;
        if !done.or_internal("cannot change an identity provider")? {
            return Err(no_provider(&row.name));
        }
        self.parts.providers.forget(&row.unique_id);
        let mut identity_provider = self.shown_provider(&row)?;
        identity_provider.has_client_secret |= had_secret;
        let removed = self.people_lost(call, &row, &lost, request.end_sessions).await?;
        let RightsRemoved { live_sessions, ended_sessions, towline_open_commands } = removed;
        Ok(UpdateIdentityProviderResult {
            identity_provider,
            live_sessions,
            ended_sessions,
            towline_open_commands,
        })
    }

    /// Gives a provider another redirect address, if one is asked for.
    async fn move_redirect(
        &self,
        row: &mut Row,
        own: Option<bool>,
        now: UnixMillis,
    ) -> Result<(), ApiError> {
        let Some(own) = own else { return Ok(()) };
        let store = self.store().identity_providers();
        let done = store.move_redirect(&row.unique_id, own, now).await;
        if !done.or_internal("cannot move the redirect address of a provider")? {
            return Err(no_provider(&row.name));
        }
        row.own_redirect = own;
        Ok(())
    }

    /// The answer to a change of the redirect address alone: nobody loses a right by it.
    fn moved(&self, row: &Row) -> Result<UpdateIdentityProviderResult, ApiError> {
        Ok(UpdateIdentityProviderResult {
            identity_provider: self.shown_provider(row)?,
            live_sessions: 0,
            ended_sessions: 0,
            towline_open_commands: 0,
        })
    }

    /// What goes on of a provider's people after a change that took these roles away: all of it is
    /// ended when that is asked for, and what they have in the roles when the gateway is set so.
    /// Who of them has lost a role depends on groups that only the provider knows.
    async fn people_lost(
        &self,
        call: &Call,
        row: &Row,
        lost: &[String],
        end: Option<bool>,
    ) -> Result<RightsRemoved, ApiError> {
        let store = self.store().identity_providers();
        let all = store.live_sessions(&row.unique_id).await.or_internal("cannot read sessions")?;
        let people = store.people_ids(&row.unique_id).await.or_internal("cannot read people")?;
        if end.is_some() || !self.parts.removal_ends_sessions {
            let left = Left { sessions: all, ids: people, ..Left::default() };
            return self.end_or_count(call, &left, end.unwrap_or(false)).await;
        }
        let (mut in_lost, mut roles) = (Vec::new(), Vec::new());
        let account = &self.realm().account;
        for role in lost {
            let stored = self.store().roles().get(&format!("role/{role}")).await;
            let Some(stored) = stored.or_internal("cannot read a role")? else { continue };
            let some = store.live_sessions_in(&row.unique_id, &stored.unique_id).await;
            in_lost.extend(some.or_internal("cannot read sessions")?);
            let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/");
            roles.push(LostRole { id: stored.unique_id, arn });
        }
        let sessions = all.into_iter().filter(|id| !in_lost.contains(id)).collect();
        let others = Left { sessions, ids: people.clone(), ..Left::default() };
        if roles.is_empty() {
            return self.end_or_count(call, &others, false).await;
        }
        let in_lost = Left { sessions: in_lost, ids: people, roles, ..Left::default() };
        self.end_and_count(call, &in_lost, &others).await
    }

    pub(super) async fn delete_identity_provider(
        &self,
        call: &Call,
        request: ProviderRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let row = self.permitted_provider(call, &request.provider_name).await?;
        let gone = self.store().identity_providers().remove(&row.unique_id).await;
        let gone = gone.or_internal("cannot remove an identity provider")?;
        let gone = gone.ok_or_else(|| no_provider(&row.name))?;
        self.parts.providers.forget(&row.unique_id);
        let end = request.end_sessions.unwrap_or(self.parts.removal_ends_sessions);
        let left = Left { sessions: gone.sessions, ids: gone.people, ..Left::default() };
        self.end_or_count(call, &left, end).await
    }

    /// Stops a provider: nobody signs in through it, and what it has vouched for is over. Its
    /// settings stay.
    pub(super) async fn update_identity_provider_status(
        &self,
        call: &Call,
        request: UpdateIdentityProviderStatusRequest,
    ) -> Result<UpdateIdentityProviderStatusResult, ApiError> {
        call.note("status", &*request.status);
        let row = self.permitted_provider(call, &request.provider_name).await?;
        let disabled = request.status == DISABLED;
        let store = self.store().identity_providers();
        let left =
            store.set_disabled(&row.unique_id, disabled, (&*call.caller.arn, call.now)).await;
        let left = left.or_internal("cannot stop an identity provider")?;
        let left = left.ok_or_else(|| no_provider(&row.name))?;
        self.parts.providers.forget(&row.unique_id);
        if !disabled {
            return Ok(UpdateIdentityProviderStatusResult::default());
        }
        let end = request.end_sessions.unwrap_or(self.parts.removal_ends_sessions);
        let left = Left { sessions: left.sessions, ids: left.people, ..Left::default() };
        let removed = self.end_or_count(call, &left, end).await?;
        let older = self.store().nodes().without_step(KNOWS_STOPS).await;
        let towline_older_gateways = older.or_internal("cannot list the gateways")?;
        if !towline_older_gateways.is_empty() {
            call.note("olderGateways", towline_older_gateways.join(" "));
        }
        Ok(UpdateIdentityProviderStatusResult { removed, towline_older_gateways })
    }

    pub(super) async fn list_federated_people(
        &self,
        call: &Call,
        request: ListFederatedPeopleRequest,
    ) -> Result<ListFederatedPeopleResult, ApiError> {
        let row = self.permitted_provider(call, &request.provider_name).await?;
        let after = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let size = request.max_results.unwrap_or(PAGE);
        let store = self.store().identity_providers();
        let people = store.people(&row.unique_id, &after, size + 1).await;
        let people = people.or_internal("cannot list people of an identity provider")?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (people, next_token) =
            page(people, size, &self.pages, call.operation, |row| row.id.clone());
        let shown = |row: towline_store::FederatedPerson| FederatedPerson {
            person_id: row.id,
            subject: row.subject,
            name: row.name,
            status: if row.is_blocked { "Blocked" } else { "Active" }.to_owned(),
            created_date: EpochSeconds::from_millis(row.created_at.0),
            last_used_date: EpochSeconds::from_millis(row.used_at.0),
        };
        Ok(ListFederatedPeopleResult {
            people: people.into_iter().map(shown).collect(),
            next_token,
        })
    }

    pub(super) async fn update_federated_person(
        &self,
        call: &Call,
        request: UpdateFederatedPersonRequest,
    ) -> Result<RightsRemoved, ApiError> {
        let row = self.permitted_provider(call, &request.provider_name).await?;
        call.note("subject", &*request.subject);
        let store = self.store().identity_providers();
        let person = store.person_of(&row.unique_id, &request.subject).await;
        let person = person.or_internal("cannot read a person")?;
        let person = person.ok_or_else(|| no_person(&row.name, &request.subject))?;
        if person.id == call.caller.person.id {
            return Err(ApiError::validation(
                "nobody blocks herself: let another administrator do it",
            ));
        }
        let blocks = request.status == "Blocked";
        let sessions = store.block(&person.id, blocks, (&*call.caller.arn, call.now)).await;
        let sessions = sessions.or_internal("cannot block a person")?;
        let sessions = sessions.ok_or_else(|| no_person(&row.name, &request.subject))?;
        if !blocks {
            return Ok(RightsRemoved::default());
        }
        let end = request.end_sessions.unwrap_or(self.parts.removal_ends_sessions);
        let left = Left { sessions, ids: vec![person.id], ..Left::default() };
        self.end_or_count(call, &left, end).await
    }

    /// Authorises a request about a provider, by its name here: the issuer stands in its row.
    async fn about_provider(&self, call: &Call, name: &str) -> Result<(), ApiError> {
        call.note("providerName", name);
        let account = &self.realm().account;
        let arn = format!("arn:aws:iam::{account}:identity-provider/{name}");
        self.authorize(call, &Question::about(arn)).await
    }

    /// A provider that policy lets the caller ask about, and that is there.
    async fn permitted_provider(&self, call: &Call, name: &str) -> Result<Row, ApiError> {
        self.about_provider(call, name).await?;
        let row = self.store().identity_providers().get(name).await;
        row.or_internal("cannot read an identity provider")?.ok_or_else(|| no_provider(name))
    }

    /// Refuses paths that are none, and roles that are not there.
    async fn check_settings(&self, settings: &ProviderSettings) -> Result<(), ApiError> {
        let tags = settings.principal_tags.iter().map(|tag| &tag.claim);
        for path in tags.chain(&settings.groups_claim).chain(&settings.name_claim) {
            ClaimPath::parse(path).map_err(|error| ApiError::validation(error.to_string()))?;
        }
        let mapped = settings.group_roles.iter().map(|entry| &entry.role);
        for role in mapped.chain(&settings.default_role) {
            let row = self.store().roles().get(&format!("role/{role}")).await;
            if row.or_internal("cannot read a role")?.is_none() {
                let message = format!("there is no role {role}: create it first");
                return Err(ApiError::validation(message));
            }
        }
        Ok(())
    }

    fn sealed_secret(
        &self,
        issuer: &str,
        secret: Option<&str>,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let Some(secret) = secret else { return Ok(None) };
        let sealed = self.parts.vault.seal(&sealed_for(issuer), secret.as_bytes());
        sealed.or_internal("cannot seal a client secret").map(Some)
    }

    fn shown_provider(&self, row: &Row) -> Result<IdentityProvider, ApiError> {
        let settings = settings_of(row)?;
        let for_people = settings.client_id.is_some();
        let url = |path: &str| self.callback_url(path).filter(|_| for_people);
        Ok(IdentityProvider {
            provider_name: row.name.clone(),
            arn: self.realm().provider_arn(&row.issuer),
            issuer: row.issuer.clone(),
            has_client_secret: row.secret.is_some(),
            status: if row.is_disabled { DISABLED } else { ENABLED }.to_owned(),
            created_date: EpochSeconds::from_millis(row.created_at.0),
            redirect_address: if row.own_redirect { OWN } else { SHARED }.to_owned(),
            redirect_uri: url(&callback_path(row)),
            own_redirect_uri: url(&own_path(&row.name)).filter(|_| !row.own_redirect),
            settings,
        })
    }
}

fn no_provider(name: &str) -> ApiError {
    missing("identity provider", name)
}

fn no_person(provider: &str, subject: &str) -> ApiError {
    missing(&format!("person of the identity provider {provider} with the subject"), subject)
}

/// The roles that some group, or who is in none, had before a change of settings and has no more.
fn lost_roles(before: &ProviderSettings, after: &ProviderSettings) -> Vec<String> {
    let ends = before.client_id.is_some() && after.client_id.is_none();
    let groups = before.group_roles.iter();
    let mapped = groups.filter(|entry| ends || !after.group_roles.contains(entry));
    let default = before.default_role.iter();
    let default = default.filter(|_| ends || after.default_role != before.default_role);
    let mut lost: Vec<String> = mapped.map(|entry| &entry.role).chain(default).cloned().collect();
    lost.sort();
    lost.dedup();
    lost
}

/// What a client's secret is sealed for.
pub(super) fn sealed_for(issuer: &str) -> String {
    format!("client secret {issuer}")
}

fn text_of(settings: &ProviderSettings) -> Result<String, ApiError> {
    serde_json::to_string(settings).map_err(|error| internal("settings cannot be written", &error))
}

#[cfg(test)]
mod tests {
    use towline_ssm::api::provider::GroupRole;

    use super::*;

    #[test]
    fn a_role_is_lost_with_a_group_the_default_or_the_client() {
        let settings = |client: bool, groups: &[(&str, &str)], default: Option<&str>| {
            let one = |(group, role): &(&str, &str)| GroupRole {
                group: (*group).to_owned(),
                role: (*role).to_owned(),
            };
            ProviderSettings {
                client_id: client.then(|| "towline".to_owned()),
                group_roles: groups.iter().map(one).collect(),
                default_role: default.map(str::to_owned),
                ..ProviderSettings::default()
            }
        };
        let before = settings(true, &[("ops", "operator"), ("dev", "reader")], Some("guest"));
        for (after, lost) in [
            (before.clone(), vec![]),
            (settings(true, &[("dev", "reader"), ("x", "y")], Some("guest")), vec!["operator"]),
            (
                settings(true, &[("ops", "reader"), ("dev", "reader")], None),
                vec!["guest", "operator"],
            ),
            (
                settings(false, &[("ops", "operator"), ("dev", "reader")], Some("guest")),
                vec!["guest", "operator", "reader"],
            ),
        ] {
            assert_eq!(lost_roles(&before, &after), lost);
        }
    }
}
