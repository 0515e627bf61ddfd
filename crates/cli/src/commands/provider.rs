//! `admin provider`: identity providers, and their people.
//!
//! # Invariants
//! - A client's secret is read from a file or standard input, never from the command line.

use towline_ssm::Operation;
use towline_ssm::api::admin::RightsRemoved;
use towline_ssm::api::provider::{
    ClaimTag, CreateIdentityProviderRequest, DISABLED, ENABLED, FederatedPerson, GroupRole,
    IdentityProvider, IdentityProviderResult, ListFederatedPeopleRequest,
    ListFederatedPeopleResult, ListIdentityProvidersRequest, ListIdentityProvidersResult, OWN,
    ProviderRequest, ProviderSettings, SHARED, UpdateFederatedPersonRequest,
    UpdateIdentityProviderRequest, UpdateIdentityProviderResult,
    UpdateIdentityProviderStatusRequest, UpdateIdentityProviderStatusResult,
};

use super::context::{Context, read_document, removed_text, time_text};
use crate::args::provider::{ProviderCommand, Redirect, SettingsArgs};
use crate::exit::Failure;
use crate::output::{Cell, complain, json};

/// `admin provider`.
pub(super) async fn run(context: &mut Context, command: ProviderCommand) -> Result<(), Failure> {
    match command {
        ProviderCommand::Create { name, issuer, redirect, settings } => {
            let (settings, client_secret) = read(settings)?;
            let request = CreateIdentityProviderRequest {
                provider_name: name,
                issuer,
                client_secret,
                redirect_address: Some(word(redirect)),
                settings,
            };
            let answer: IdentityProviderResult =
                context.call(Operation::CreateIdentityProvider, &request).await?;
            tell_redirect(&answer.identity_provider);
            context.output.answer(&answer, |_| format!("{}\n", answer.identity_provider.arn))
        }
        ProviderCommand::Redirect { name, address } => redirect(context, name, address).await,
        ProviderCommand::Update { name, settings, end_sessions } => {
            let (settings, client_secret) = read(settings)?;
            let request = UpdateIdentityProviderRequest {
                provider_name: name,
                client_secret,
                redirect_address: None,
                settings,
                end_sessions: end_sessions.then_some(true),
            };
            let answer: UpdateIdentityProviderResult =
                context.call(Operation::UpdateIdentityProvider, &request).await?;
            let text = removed_text(&removed(&answer));
            context.output.answer(&answer, |_| text)
        }
        ProviderCommand::List => list(context).await,
        ProviderCommand::Show { name } => {
            let request = ProviderRequest { provider_name: name, end_sessions: None };
            let answer: IdentityProviderResult =
                context.call(Operation::GetIdentityProvider, &request).await?;
            let text = json(&answer.identity_provider)?;
            context.output.answer(&answer, |_| text)
        }
        ProviderCommand::Delete { name, end_sessions } => {
            let end_sessions = end_sessions.then_some(true);
            let request = ProviderRequest { provider_name: name, end_sessions };
            context.removal(Operation::DeleteIdentityProvider, &request).await
        }
        ProviderCommand::Disable { name, end_sessions } => {
            stop(context, name, DISABLED, end_sessions).await
        }
        ProviderCommand::Enable { name } => stop(context, name, ENABLED, false).await,
        ProviderCommand::People { name } => people(context, name).await,
        ProviderCommand::Block { name, subject, end_sessions } => {
            status(context, name, subject, "Blocked", end_sessions).await
        }
        ProviderCommand::Unblock { name, subject } => {
            status(context, name, subject, "Active", false).await
        }
    }
}

/// What a change of settings took away.
fn removed(answer: &UpdateIdentityProviderResult) -> RightsRemoved {
    RightsRemoved {
        live_sessions: answer.live_sessions,
        ended_sessions: answer.ended_sessions,
        towline_open_commands: answer.towline_open_commands,
    }
}

/// The API's word for a redirect address.
fn word(redirect: Redirect) -> String {
    match redirect {
        Redirect::Own => OWN,
        Redirect::Shared => SHARED,
    }
    .to_owned()
}

/// Says what must be registered at a provider: without it nobody signs in.
fn tell_redirect(provider: &IdentityProvider) {
    if let Some(address) = &provider.redirect_uri {
        let name = &provider.provider_name;
        complain(&format!("redirect address to register at the provider {name}: {address}"));
    }
}

/// Changes the redirect address; everything else stays.
async fn redirect(context: &mut Context, name: String, to: Redirect) -> Result<(), Failure> {
    let request = UpdateIdentityProviderRequest {
        provider_name: name,
        redirect_address: Some(word(to)),
        ..UpdateIdentityProviderRequest::default()
    };
    let answer: UpdateIdentityProviderResult =
        context.call(Operation::UpdateIdentityProvider, &request).await?;
    tell_redirect(&answer.identity_provider);
    context.output.answer(&answer, |_| String::new())
}

/// Settings and secret from the command line.
fn read(args: SettingsArgs) -> Result<(ProviderSettings, Option<String>), Failure> {
    let secret = args.client_secret.as_deref().map(read_document).transpose()?;
    let tags = args.tag.into_iter().map(|(key, claim)| ClaimTag { key, claim });
    let roles = args.group_role.into_iter().map(|(group, role)| GroupRole { group, role });
    let settings = ProviderSettings {
        client_id: args.client_id,
        audiences: args.audience,
        scopes: args.scope,
        name_claim: args.name_claim,
        principal_tags: tags.collect(),
        groups_claim: args.groups,
        groups_separator: args.groups_separator,
        group_roles: roles.collect(),
        default_role: args.default_role,
        second_factors: args.second_factor,
        acr_values: args.acr_value,
    };
    Ok((settings, secret.map(|secret| secret.trim_end().to_owned())))
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let request = ListIdentityProvidersRequest {};
    let answer: ListIdentityProvidersResult =
        context.call(Operation::ListIdentityProviders, &request).await?;
    let is_shared = |one: &IdentityProvider| one.own_redirect_uri.is_some();
    let sharing = answer.identity_providers.iter().filter(|one| is_shared(one)).count();
    let row = |provider: &IdentityProvider| -> Vec<Cell> {
        vec![
            provider.provider_name.clone().into(),
            provider.issuer.clone().into(),
            provider.settings.client_id.clone().into(),
            match provider.redirect_uri.as_deref() {
                None => String::new().into(),
                Some(_) if is_shared(provider) && sharing > 1 => Cell::Bad("shared".into()),
                Some(_) => provider.redirect_address.to_lowercase().into(),
            },
            match provider.status.as_str() {
                ENABLED => "enabled".into(),
                other => Cell::Bad(other.to_lowercase()),
            },
            time_text(Some(provider.created_date)).into(),
        ]
    };
    let rows: Vec<_> = answer.identity_providers.iter().map(row).collect();
    let heads = ["PROVIDER", "ISSUER", "CLIENT", "REDIRECT", "STATUS", "CREATED"];
    if sharing > 1 {
        complain(
            "providers share a redirect address, so a hostile one can get the sign-ins of \
             another. Register at each provider the address of its own, then run `towline admin \
             provider redirect NAME own`:",
        );
        for one in answer.identity_providers.iter().filter(|one| is_shared(one)) {
            let address = one.own_redirect_uri.as_deref().unwrap_or_default();
            complain(&format!("  {}: {address}", one.provider_name));
        }
    }
    context.output.answer(&answer, |output| output.table(&heads, &rows))
}

async fn people(context: &mut Context, name: String) -> Result<(), Failure> {
    let mut all = ListFederatedPeopleResult { people: Vec::new(), next_token: None };
    loop {
        let request = ListFederatedPeopleRequest {
            provider_name: name.clone(),
            max_results: Some(1000),
            next_token: all.next_token.take(),
        };
        let page: ListFederatedPeopleResult =
            context.call(Operation::ListFederatedPeople, &request).await?;
        all.people.extend(page.people);
        all.next_token = page.next_token;
        if all.next_token.is_none() {
            break;
        }
    }
    let row = |person: &FederatedPerson| -> Vec<Cell> {
        vec![
            person.subject.clone().into(),
            person.name.clone().into(),
            person.status.to_lowercase().into(),
            time_text(Some(person.last_used_date)).into(),
        ]
    };
    let rows: Vec<_> = all.people.iter().map(row).collect();
    let heads = ["SUBJECT", "NAME", "STATUS", "LAST USED"];
    context.output.answer(&all, |output| output.table(&heads, &rows))
}

/// Stops a provider, or lets it in again.
async fn stop(
    context: &mut Context,
    provider_name: String,
    status: &str,
    end_sessions: bool,
) -> Result<(), Failure> {
    let request = UpdateIdentityProviderStatusRequest {
        provider_name,
        status: status.to_owned(),
        end_sessions: end_sessions.then_some(true),
    };
    let answer: UpdateIdentityProviderStatusResult =
        context.call(Operation::UpdateIdentityProviderStatus, &request).await?;
    let mut text = removed_text(&answer.removed);
    if !answer.towline_older_gateways.is_empty() {
        text.push_str(&format!(
            "of a version that knows no stop, and let its people in until they are upgraded or \
             stopped: {}\n",
            answer.towline_older_gateways.join(", ")
        ));
    }
    context.output.answer(&answer, |_| text)
}

async fn status(
    context: &mut Context,
    provider_name: String,
    subject: String,
    status: &str,
    end_sessions: bool,
) -> Result<(), Failure> {
    let request = UpdateFederatedPersonRequest {
        provider_name,
        subject,
        status: status.to_owned(),
        end_sessions: end_sessions.then_some(true),
    };
    context.removal(Operation::UpdateFederatedPerson, &request).await
}
