//! `activation`: activations, which admit new devices.
//!
//! # Invariants
//! - The code of a new activation goes to standard output and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use towline_ssm::Operation;
use towline_ssm::api::Empty;
use towline_ssm::api::activation::{
    Activation, CreateActivationRequest, CreateActivationResult, DeleteActivationRequest,
    DescribeActivationsRequest, DescribeActivationsResult,
};
use towline_ssm::clock::EpochSeconds;

use super::context::{Context, tags, tags_text, time_text};
use crate::args::device::{ActivationArgs, ActivationCommand};
use crate::exit::Failure;
use crate::limits::PAGE;
use crate::output::{Cell, Output};

/// `activation`.
pub(super) async fn run(context: &mut Context, command: ActivationCommand) -> Result<(), Failure> {
    match command {
        ActivationCommand::Create(args) => create(context, args).await,
        ActivationCommand::List => list(context).await,
        ActivationCommand::Delete { id } => {
            let request = DeleteActivationRequest { activation_id: id };
            let _: Empty = context.call(Operation::DeleteActivation, &request).await?;
            context.output.done()
        }
    }
}

async fn create(context: &mut Context, args: ActivationArgs) -> Result<(), Failure> {
    let request = CreateActivationRequest {
        description: args.description,
        default_instance_name: args.name,
        iam_role: args.iam_role,
        registration_limit: Some(args.limit.into()),
        expiration_date: args.expires_in.map(from_now),
        tags: tags(args.tag),
        registration_metadata: Vec::new(),
        towline_require_approval: args.approval,
        towline_source_cidr: args.from,
        towline_device_tag_keys: args.device_tags,
    };
    let answer: CreateActivationResult =
        context.call(Operation::CreateActivation, &request).await?;
    let settings = context.client.settings();
    let gateway = format!("{}:{}", settings.endpoint.host, settings.endpoint.port);
    let trust = if settings.ca.is_some() { " --ca ca.pem" } else { "" };
    let authority = match answer.towline_authority.as_str() {
        "" => String::new(),
        digest => format!(" --authority {digest}"),
    };
    context.output.answer(&answer, |_| {
        format!(
            "Activation id    {id}\nActivation code  {code}\n\nRun on the device as root, and \
             enter the code on standard input:\n  \
             towline-agent enroll --gateway {gateway} --activation-id {id} --activation-code-file \
             -{trust}{authority}\n\n\
             Or, on a device with amazon-ssm-agent, whose configuration `towline agent-config \
             --vendor` prints:\n  \
             amazon-ssm-agent -register -y -region {region} -id {id} -code CODE\n",
            region = settings.region,
            id = answer.activation_id,
            code = answer.activation_code,
        )
    })
}

fn from_now(seconds: u64) -> EpochSeconds {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    EpochSeconds::from_secs(i64::try_from(now.saturating_add(seconds)).unwrap_or(i64::MAX))
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let request = DescribeActivationsRequest { max_results: Some(PAGE), ..Default::default() };
    let answer = DescribeActivationsResult {
        activation_list: context.list(request).await?,
        next_token: None,
    };
    context.output.answer(&answer, |output| table(output, &answer.activation_list))
}

fn table(output: Output, activations: &[Activation]) -> String {
    let row = |activation: &Activation| -> Vec<Cell> {
        vec![
            activation.activation_id.clone().into(),
            format!("{}/{}", activation.registrations_count, activation.registration_limit).into(),
            match activation.expired {
                true => Cell::Bad("expired".to_owned()),
                false => Cell::Good("valid".to_owned()),
            },
            time_text(Some(activation.expiration_date)).into(),
            activation.default_instance_name.clone().into(),
            tags_text(&activation.tags).into(),
            activation.towline_device_tag_keys.join(",").into(),
            activation.description.clone().into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = activations.iter().map(row).collect();
    output.table(
        &["ID", "USED", "STATE", "EXPIRES", "NAME", "TAGS", "DEVICE TAGS", "DESCRIPTION"],
        &rows,
    )
}
