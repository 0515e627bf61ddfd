//! Jobs without stored keys: tokens of an identity provider for a role's credentials, by unmodified
//! boto3 and AWS CLI.

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::machine::SCRIPT;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, process};

#[test]
fn a_job_with_a_token_of_a_provider_needs_no_key() -> Outcome {
    let config = "[outbound]\nallow = [\"127.0.0.1\"]\n".to_owned();
    let lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let device = lab.device()?;
    let admin = lab.admin();
    let mut command = admin.python();
    command.arg(workspace().join("tests/e2e/python/web_identity.py"));
    command.env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_CLI", admin.towline(&[]).get_program());
    let out = process::finish(command, SCRIPT)?;
    let said = format!(
        "{}\n{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    ensure(out.status.success(), || said)
}
