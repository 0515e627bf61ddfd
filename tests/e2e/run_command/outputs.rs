//! `towline outputs`: all bytes of what a command printed, for who may read them.

use serde_json::json;
use towline_testkit::lab::Lab;
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, files};

use super::{begun, ended, is, mark, send, setup};

/// May read outputs of commands on devices with the tag Environment=dev, and nothing else.
const READER: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"towline:GetCommandOutput",
    "Resource":"arn:aws:ssm:*:*:command/*","Condition":{"StringEquals":{"ssm:resourceTag/Environment":"dev"}}}]}"#;

#[test]
fn a_megabyte_of_output_arrives_byte_by_byte_at_who_may_read_it_and_at_nobody_else() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&setup(&[("Environment", "dev")]))?;
    let other = lab.device_with(&setup(&[("Environment", "prod")]))?;
    let (printed, said) = (mark(&lab, "printed"), mark(&lab, "said"));
    let script = format!(
        "head -c 1048577 /dev/urandom | tee {}; head -c 70000 /dev/urandom | tee {} >&2",
        printed.display(),
        said.display()
    );
    let id = send(&lab, &device, &script, 60)?;
    is(&ended(&lab, &device, &id)?, "Success")?;

    let reader = lab.user("reader", Some(READER))?;
    let whole = reader.run(&["outputs", &id, device.id()])?;
    ensure(whole.status.success(), || format!("{whole:?}"))?;
    ensure(whole.stdout == std::fs::read(&printed)?, || "standard output differs".into())?;
    ensure(whole.stderr == std::fs::read(&said)?, || "standard error differs".into())?;
    let one = reader.run(&["outputs", &id, device.id(), "--stream", "stderr"])?;
    ensure(one.stdout == std::fs::read(&said)? && one.stderr.is_empty(), || {
        "the stream that was asked for is not the one that came".into()
    })?;
    // Without a device: the devices of the command, which needs the right to list them.
    let found = lab.admin().run(&["outputs", &id])?;
    ensure(found.stdout == std::fs::read(&printed)?, || "without a device it differs".into())?;

    let hidden = send(&lab, &other, "echo secret", 60)?;
    is(&ended(&lab, &other, &hidden)?, "Success")?;
    let refused = reader.run(&["outputs", &hidden, other.id()])?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure(
        refused.status.code() == Some(254)
            && refused.stdout.is_empty()
            && words.contains("towline:GetCommandOutput"),
        || format!("{refused:?}"),
    )?;
    // The tags are those of the device that the command ran on, not of one that the reader names.
    let crossed = json!({ "CommandId": hidden, "InstanceId": device.id() });
    let (status, answer) = reader.api_raw("Towline.GetCommandOutput", &crossed.to_string())?;
    ensure(status == 400 && answer.contains("InvocationDoesNotExist"), || answer.clone())?;
    let trail = lab.admin().text(&["-o", "json", "audit", "--limit", "100"])?;
    ensure(trail.contains("GetCommandOutput") && trail.contains(&hidden), || trail.clone())
}

#[test]
fn the_output_of_a_command_that_runs_is_there_as_far_as_it_has_come_and_a_cut_says_where_it_is()
-> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (started, go) = (mark(&lab, "started"), mark(&lab, "go"));
    let script = format!(
        "echo begun; echo x >> {}; while [ ! -e {} ]; do sleep 0.05; done; seq 1 20000",
        started.display(),
        go.display()
    );
    let id = send(&lab, &device, &script, 60)?;
    begun(&started)?;
    eventually("the first line is there", PATIENCE, || {
        let so_far = lab.admin().run(&["outputs", &id, device.id()]).ok()?;
        let words = String::from_utf8_lossy(&so_far.stderr).into_owned();
        (so_far.stdout == b"begun\n" && words.contains("still running")).then_some(())
    })?;
    files::write(&go, "")?;
    is(&ended(&lab, &device, &id)?, "Success")?;
    let expected: String = std::iter::once("begun\n".to_owned())
        .chain((1..=20_000).map(|n| format!("{n}\n")))
        .collect();
    let whole = lab.admin().run(&["outputs", &id, device.id()])?;
    ensure(whole.stdout == expected.as_bytes() && whole.stderr.is_empty(), || {
        format!("{} bytes; {}", whole.stdout.len(), String::from_utf8_lossy(&whole.stderr))
    })?;
    let run = lab.admin().run(&["run", "--target", device.id(), "--", "seq -s, 1 20000"])?;
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    ensure(text.contains("All of it: towline outputs "), || text)
}
