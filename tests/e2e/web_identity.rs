//! Identity providers in place of stored keys: jobs by their tokens, with unmodified boto3 and AWS
//! CLI, and people by `towline login`.

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::machine::SCRIPT;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, files, process};

/// The gateway may ask a provider on loopback.
const OUTBOUND: &str = "[outbound]\nallow = [\"127.0.0.1\"]\n";

fn done(command: std::process::Command) -> Outcome {
    let out = process::finish(command, SCRIPT)?;
    let said = format!(
        "{}\n{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    ensure(out.status.success(), || said)
}

#[test]
fn a_job_with_a_token_of_a_provider_needs_no_key() -> Outcome {
    let config = OUTBOUND.to_owned();
    let lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let device = lab.device()?;
    let admin = lab.admin();
    let mut command = admin.python();
    command.arg(workspace().join("tests/e2e/python/web_identity.py"));
    command.env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_CLI", admin.towline(&[]).get_program());
    done(command)
}

/// A program with a provider of its own, against a gateway with an origin.
fn with_people(program: &str) -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    let config = lab.gateway.directory().join("gateway.toml");
    let lines = std::fs::read_to_string(&config)?;
    let more = format!("{OUTBOUND}\n[console]\norigins = [\"{origin}\"]\n");
    files::write(&config, format!("{lines}\n{more}"))?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    let device = lab.device()?;
    let admin = lab.admin();
    let mut command = admin.python();
    command.arg(workspace().join("tests/e2e/python").join(program));
    command.env("TOWLINE_NODE", workspace().join("tests/e2e/node/oidc_provider.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_CLI", admin.towline(&[]).get_program());
    done(command)
}

#[test]
fn a_person_signs_in_by_the_command_line_through_a_provider() -> Outcome {
    with_people("login.py")
}

#[test]
fn people_and_jobs_sign_in_through_a_second_provider() -> Outcome {
    with_people("second_provider.py")
}

#[test]
fn a_provider_that_lies_breaks_or_changes_signs_nobody_in() -> Outcome {
    with_people("hostile_provider.py")
}

#[test]
fn a_provider_that_is_away_for_a_moment_ends_no_wait() -> Outcome {
    with_people("absent_provider.py")
}
