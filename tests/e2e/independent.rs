//! Clients of AWS's data channel that others wrote, as they come from their registry.

use std::process::Command;

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, machine};

/// `ssm-session` of npm. It tells no client id and no version, and its second size is lost in its
/// own counting.
#[test]
fn ssm_session_of_npm_has_a_shell_loses_its_websocket_and_leaves() -> Outcome {
    let modules = std::env::var_os("NODE_PATH");
    let modules = modules.ok_or_else(|| {
        Trouble::new("NODE_PATH is not set: `cargo xtask test` installs its modules")
    })?;
    let lab = Lab::start()?;
    let device = lab.device()?;
    let started =
        lab.admin().api("AmazonSSM.StartSession", &serde_json::json!({ "Target": device.id() }))?;
    let session = started["SessionId"].as_str().ok_or_else(|| Trouble::new("no session"))?;
    let again = [
        "python3",
        "-m",
        "awscli",
        "ssm",
        "resume-session",
        "--output",
        "json",
        "--session-id",
        session,
    ];
    let again = std::iter::once(machine::program().to_string_lossy().into_owned())
        .chain(again.iter().skip(1).map(|&word| word.to_owned()));
    let mut command = lab.admin().equip(Command::new("node"));
    command.arg(workspace().join("tests/e2e/node/ssm_session.js"));
    command.env("NODE_PATH", modules).env("TOWLINE_START", started.to_string());
    command.env("TOWLINE_AGAIN", serde_json::json!(again.collect::<Vec<_>>()).to_string());
    let ca = lab
        .admin()
        .environment()
        .into_iter()
        .find(|(name, _)| *name == "TOWLINE_CA")
        .map(|(_, path)| path);
    command.env("NODE_EXTRA_CA_CERTS", ca.unwrap_or_default());
    machine::settle(&mut command);
    let out = command.output()?;
    ensure(out.status.success() && out.stdout.ends_with(b"well\n"), || {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })
}
