//! `mfa`: second factors of users with access keys.
//!
//! # Invariants
//! - Secrets and credentials go to standard output and nowhere else.

use towline_ssm::Operation;
use towline_ssm::api::access::AccessCredentials;
use towline_ssm::api::second_factor::{
    CreateSecondFactorRequest, CreateSecondFactorResult, DeleteSecondFactorRequest,
    EnableSecondFactorRequest,
};

use super::access::exports;
use super::context::Context;
use super::step_up;
use crate::args::identity::MfaCommand;
use crate::exit::Failure;

/// `mfa`.
pub(super) async fn run(context: &mut Context, command: MfaCommand) -> Result<(), Failure> {
    let (account, own) = me(context).await?;
    match command {
        MfaCommand::Create => {
            let request = CreateSecondFactorRequest { principal_name: own };
            let answer: CreateSecondFactorResult =
                context.call(Operation::CreateSecondFactor, &request).await?;
            let text = format!(
                "serial number: {}\nsecret: {}\n{}\nenable it: towline mfa enable\n",
                answer.serial_number, answer.secret, answer.uri
            );
            context.output.answer(&answer, |_| text)
        }
        MfaCommand::Enable { code } => {
            let code = step_up::code(code)?;
            let request = EnableSecondFactorRequest { principal_name: own, token_code: code };
            context.done(Operation::EnableSecondFactor, &request).await
        }
        MfaCommand::Session { code } => {
            let code = step_up::code(code)?;
            session(context, &account, &own, &code).await
        }
        MfaCommand::Delete { user, code } => {
            let principal_name = user.unwrap_or(own);
            let code = code.map(|code| step_up::code(Some(code))).transpose()?;
            let request = DeleteSecondFactorRequest { principal_name, token_code: code };
            context.done(Operation::DeleteSecondFactor, &request).await
        }
    }
}

async fn session(
    context: &mut Context,
    account: &str,
    own: &str,
    code: &str,
) -> Result<(), Failure> {
    let serial = format!("arn:aws:iam::{account}:mfa/{own}");
    let given = context.client.session_token(&serial, code).await?;
    let given = AccessCredentials {
        access_key_id: given.access_key_id,
        secret_access_key: given.secret_access_key,
        session_token: given.session_token,
        expiration_time: given.expiration,
    };
    let text = exports(&given);
    context.output.answer(&given, |_| text)
}

/// Account and name of the user whose access key this is.
async fn me(context: &mut Context) -> Result<(String, String), Failure> {
    let identity = context.client.caller_identity().await?;
    let name = identity.arn.split_once(":user/").map(|(_, name)| name.to_owned());
    let name = name.ok_or_else(|| {
        Failure::Usage(format!("second factors belong to users, and you are {}", identity.arn))
    })?;
    Ok((identity.account, name))
}
