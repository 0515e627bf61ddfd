//! Ways around a policy that were seen end to end: another spelling of a key, of a path, of a host,
//! and a second value beside the allowed one. Each is tried as the attacker would.

use std::process::Command;

use serde_json::{Value, json};
use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

/// Exit code of `towline` for what policy refuses (`towline --help` lists them).
const DENIED: i32 = 254;

fn device(lab: &Lab, environment: &str) -> Outcome<Device> {
    let tags = vec![("Environment".to_owned(), environment.to_owned())];
    lab.device_with(&DeviceSetup { tags, ..DeviceSetup::default() })
}

/// A policy of one statement for sessions and commands, on everything that meets the condition.
fn allow(condition: &Value) -> String {
    let actions = ["ssm:StartSession", "ssm:SendCommand", "ssm:TerminateSession"];
    json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": actions, "Resource": "*", "Condition": condition },
        { "Effect": "Allow", "Action": ["ssm:ResumeSession", "ssm:DescribeInstanceInformation",
            "ssm:GetCommandInvocation", "ssm:ListCommandInvocations", "ssm:ListCommands"],
          "Resource": "*" },
    ] })
    .to_string()
}

/// The error code and the message of a call that must fail.
fn fails(operator: &Operator, target: &str, body: &Value) -> Outcome<(String, String)> {
    let (status, text) = operator.api_raw(target, &body.to_string())?;
    ensure(status >= 400, || format!("{target} {body} was done: {text}"))?;
    ensure(!text.contains("the device refused"), || format!("{target} {body}: {text}"))?;
    let answer: Value = serde_json::from_str(&text)?;
    let part = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    Ok((part("__type"), part("message")))
}

fn tags_of(operator: &Operator, id: &str) -> Outcome<Value> {
    let body = json!({ "ResourceType": "ManagedInstance", "ResourceId": id });
    Ok(operator.api("AmazonSSM.ListTagsForResource", &body)?["TagList"].take())
}

#[test]
fn a_device_does_not_put_itself_into_another_group_by_the_letters_of_a_key() -> Outcome {
    let lab = Lab::start()?;
    let dev = json!({ "Tags": [{ "Key": "Environment", "Value": "dev" }],
        "TowlineDeviceTagKeys": ["Site"] });
    let activation = lab.activation_with(9, &dev)?;
    let mut device = lab.unenrolled(&DeviceSetup::default())?;
    for tag in ["environment=prod", "Environment=prod", "ENVIRONMENT=prod", "Owner=me"] {
        let out = device.try_enroll(&activation, &["--tag", tag])?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let key = tag.split('=').next().unwrap_or_default();
        ensure(
            !out.status.success() && said.contains(key) && said.contains("--device-tags"),
            || format!("{tag}: {out:?}"),
        )?;
    }
    let out = device.try_enroll(&activation, &["--tag", "Site=a", "--tag", "site=b"])?;
    ensure(!out.status.success(), || format!("{out:?}"))?;
    device.enroll(&activation)?;
    device.start()?;
    device.wait_online(&lab.admin())?;
    let expected = json!([{ "Key": "Environment", "Value": "dev" }]);
    let found = tags_of(&lab.admin(), device.id())?;
    ensure(found == expected, || format!("{found}"))?;

    let prod = json!({ "StringEquals": { "ssm:resourceTag/Environment": "prod" } });
    let ann = lab.user("ann", Some(&allow(&prod)))?;
    let out = ann.run(&["exec", device.id(), "--", "true"])?;
    ensure(out.status.code() == Some(DENIED), || format!("{out:?}"))
}

#[test]
fn a_tagger_sets_no_other_value_by_a_second_spelling() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab, "dev")?;
    let policy = json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "ssm:AddTagsToResource", "Resource": "*",
        "Condition": { "StringEquals": { "aws:RequestTag/Environment": "dev" } } } });
    let tagger = lab.user("tagger", Some(&policy.to_string()))?;
    let add = |tags: &[(&str, &str)]| {
        let tags: Vec<_> =
            tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        json!({ "ResourceType": "ManagedInstance", "ResourceId": device.id(), "Tags": tags })
    };
    let both = [("Environment", "prod"), ("environment", "dev")];
    for pair in [both, [both[1], both[0]]] {
        let (code, words) = fails(&tagger, "AmazonSSM.AddTagsToResource", &add(&pair))?;
        ensure(code.ends_with("ValidationException") && words.contains("letter case"), || {
            format!("{code}: {words}")
        })?;
    }
    let (code, _) =
        fails(&tagger, "AmazonSSM.AddTagsToResource", &add(&[("environment", "prod")]))?;
    ensure(code.ends_with("AccessDeniedException"), || code.clone())?;
    tagger.api("AmazonSSM.AddTagsToResource", &add(&[("ENVIRONMENT", "dev")]))?;
    let found = tags_of(&lab.admin(), device.id())?;
    let expected = json!([{ "Key": "ENVIRONMENT", "Value": "dev" }]);
    ensure(found == expected, || format!("one key has one tag: {found}"))?;
    let list = lab.admin().text(&["devices", "--tag", "environment=dev"])?;
    ensure(list.contains(device.id()), || list.clone())
}

#[test]
fn a_path_outside_of_the_allowed_folder_is_not_copied_whatever_its_letters() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab, "dev")?;
    let folder = lab.directory().join("logs");
    std::fs::create_dir(&folder)?;
    towline_testkit::files::write(&folder.join("a.log"), "seen\n")?;
    towline_testkit::files::write(&lab.directory().join("secret"), "hidden\n")?;
    let inside = format!("{}/*", folder.display());
    let condition = json!({ "StringLike": { "towline:DocumentParameter/path": [inside] } });
    let ann = lab.user("ann", Some(&allow(&condition)))?;
    let copy = |path: &str| {
        let back = lab.directory().join("back");
        let _ = std::fs::remove_file(&back);
        let out =
            ann.run(&["cp", &format!("{}:{path}", device.id()), &back.display().to_string()])?;
        Ok::<_, Trouble>((out, back.exists()))
    };
    let (out, there) = copy(&format!("{}/a.log", folder.display()))?;
    ensure(out.status.success() && there, || format!("{out:?}"))?;
    for path in [
        format!("{}/../secret", folder.display()),
        format!("{}/./../secret", folder.display()),
        format!("{}//a.log", folder.display()),
        format!("{}/x/../../secret", folder.display()),
        lab.directory().join("secret").display().to_string(),
        "secret".to_owned(),
        "~/secret".to_owned(),
    ] {
        let (out, there) = copy(&path)?;
        ensure(!out.status.success() && !there, || format!("{path}: {out:?}"))?;
    }
    let start = |path: &str| {
        json!({ "Target": device.id(), "DocumentName": "Towline-Copy",
            "Parameters": { "path": [path], "direction": ["get"] } })
    };
    let around = format!("{}/../secret", folder.display());
    // With every right there is, it is still no path: the words say why.
    let (code, words) = fails(&lab.admin(), "AmazonSSM.StartSession", &start(&around))?;
    ensure(code.ends_with("InvalidParameters") && words.contains(". or .."), || {
        format!("{code}: {words}")
    })
}

#[test]
fn a_forbidden_host_is_not_reached_by_another_spelling() -> Outcome {
    let lab = Lab::start()?;
    // The device itself forbids nothing: what is refused here is refused by the gateway.
    let device = lab.device_with(&DeviceSetup {
        config: "policy.allowed_forwards = [\"*:*\", \"localhost:*\"]".into(),
        ..DeviceSetup::default()
    })?;
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "ssm:*", "Resource": "*" },
        { "Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*", "Condition": {
            "StringLike": { "towline:DocumentParameter/host": ["127.*", "localhost"] } } },
    ] });
    let ann = lab.user("ann", Some(&policy.to_string()))?;
    let forward = |document: &str, parameters: &Value| json!({ "Target": device.id(), "DocumentName": document, "Parameters": parameters });
    let built_in = "AWS-StartPortForwardingSessionToRemoteHost";
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "017700000001",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1.",
        "::1%lo",
        "[127.0.0.1]",
    ] {
        let body = forward(built_in, &json!({ "host": [host], "portNumber": ["22"] }));
        fails(&ann, "AmazonSSM.StartSession", &body)?;
    }
    let content = json!({ "schemaVersion": "1.0", "sessionType": "Port",
        "parameters": { "to": { "type": "String" } },
        "properties": { "host": "{{ to }}", "portNumber": "22", "type": "LocalPortForwarding" } });
    let create = json!({ "Name": "Reach", "DocumentType": "Session",
        "Content": content.to_string() });
    lab.admin().api("AmazonSSM.CreateDocument", &create)?;
    for host in ["127.0.0.1", "0x7f000001", "::ffff:127.0.0.1", "LOCALHOST"] {
        let body = forward("Reach", &json!({ "to": [host] }));
        fails(&ann, "AmazonSSM.StartSession", &body)?;
    }
    ann.api("AmazonSSM.StartSession", &forward("Reach", &json!({ "to": ["10.0.0.7"] })))?;

    let addresses = json!({ "StringLike": { "towline:DocumentParameter/host": "10.*" } });
    let bob = lab.user("bob", Some(&allow(&addresses)))?;
    let to = |host: &str| forward(built_in, &json!({ "host": [host], "portNumber": ["22"] }));
    bob.api("AmazonSSM.StartSession", &to("10.0.0.7"))?;
    let (code, _) = fails(&bob, "AmazonSSM.StartSession", &to("10.example.com"))?;
    ensure(code.ends_with("AccessDeniedException"), || code.clone())
}

#[test]
fn a_tunnel_is_judged_by_host_and_port_whatever_its_document_calls_them() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&DeviceSetup {
        config: "policy.allowed_forwards = [\"localhost:*\"]".into(),
        ..DeviceSetup::default()
    })?;
    let denied = |key: &str, value: &str| {
        json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "ssm:*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*", "Condition": {
                "StringEquals": { key: value } } },
        ] })
        .to_string()
    };
    let own = json!({ "schemaVersion": "1.0", "sessionType": "Port",
        "parameters": { "p": { "type": "String" } },
        "properties": { "portNumber": "{{ p }}", "type": "LocalPortForwarding" } });
    let create = json!({ "Name": "Itself", "DocumentType": "Session", "Content": own.to_string() });
    lab.admin().api("AmazonSSM.CreateDocument", &create)?;
    let start = |document: &str, name: &str, port: &str| json!({ "Target": device.id(), "DocumentName": document, "Parameters": { name: [port] } });
    let built_in = "AWS-StartPortForwardingSession";

    let ann = lab.user("ann", Some(&denied("towline:DocumentParameter/host", "localhost")))?;
    for body in [start("Itself", "p", "8080"), start(built_in, "portNumber", "8080")] {
        fails(&ann, "AmazonSSM.StartSession", &body)?;
    }
    let bob = lab.user("bob", Some(&denied("towline:DocumentParameter/portNumber", "22")))?;
    for body in [start("Itself", "p", "22"), start(built_in, "portNumber", "22")] {
        fails(&bob, "AmazonSSM.StartSession", &body)?;
    }
    bob.api("AmazonSSM.StartSession", &start("Itself", "p", "8080"))?;
    Ok(())
}

#[test]
fn a_second_command_does_not_ride_on_an_allowed_one() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab, "dev")?;
    let mark = lab.directory().join("mark");
    let commands = json!({ "StringEquals": { "towline:DocumentParameter/commands": "uptime" } });
    let ann = lab.user("ann", Some(&allow(&commands)))?;
    let line = json!({ "StringEquals": { "towline:CommandLine": ["uptime", "echo 'a b'"] } });
    let bob = lab.user("bob", Some(&allow(&line)))?;
    let send = |commands: &[&str]| {
        json!({ "DocumentName": "AWS-RunShellScript", "InstanceIds": [device.id()],
            "Parameters": { "commands": commands } })
    };
    let touch = format!("touch {}", mark.display());
    let long = format!("# {}\n{touch}", "x".repeat(5_000));
    for user in [&ann, &bob] {
        for attack in [&["uptime", &touch][..], &[&touch, "uptime"], &[&touch], &[&long], &[]] {
            fails(user, "AmazonSSM.SendCommand", &send(attack))?;
        }
        user.api("AmazonSSM.SendCommand", &send(&["uptime"]))?;
    }
    ann.api("AmazonSSM.SendCommand", &send(&["uptime", "uptime"]))?;
    fails(&bob, "AmazonSSM.SendCommand", &send(&["uptime", "uptime"]))?;
    let said = bob.text(&["exec", device.id(), "--", "echo", "a b"])?;
    ensure(said == "a b\n", || said.clone())?;
    for words in [&["echo", "a", "b"][..], &["echo 'a b'"], &["echo", "a b", "c"]] {
        let out = bob.run(&[&["exec", device.id(), "--"], words].concat())?;
        ensure(out.status.code() == Some(DENIED), || format!("{words:?}: {out:?}"))?;
    }
    ensure(!mark.exists(), || "an attack left its mark".into())
}

#[test]
fn two_spellings_in_any_map_of_a_request_are_refused_to_boto3() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab, "dev")?;
    let program =
        towline_testkit::lab::programs::workspace().join("tests/e2e/python/two_spellings.py");
    let mut python = lab.admin().python();
    python.arg(program).env("TOWLINE_DEVICE", device.id());
    let out = towline_testkit::process::finish(python, std::time::Duration::from_secs(60))?;
    ensure(out.status.success(), || {
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    })
}

#[test]
fn a_gateway_with_clashing_tags_says_so_and_is_mended_by_hand() -> Outcome {
    let mut lab = Lab::start()?;
    let device = device(&lab, "dev")?;
    let id = device.id().to_owned();
    drop(device);
    lab.gateway.process().stop()?;
    // As an older version left it: two keys, and a schema that allows them.
    let store = lab.gateway.directory().join("towline.db");
    let sql = format!(
        "DROP INDEX tags_by_folded_key; DROP INDEX tags_by_folded_value; \
         ALTER TABLE tags DROP COLUMN key_folded; ALTER TABLE activations DROP COLUMN \
         device_tag_keys; \
         CREATE INDEX tags_by_value ON tags (kind, key, value); \
         DELETE FROM _sqlx_migrations WHERE version = 12; \
         INSERT INTO tags (kind, id, key, value) VALUES ('device', '{id}', 'environment', 'prod');"
    );
    let code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    let mut python = lab.admin().python();
    python.args(["-c", code]).arg(&store).arg(sql);
    let out = towline_testkit::process::finish(python, std::time::Duration::from_secs(30))?;
    ensure(out.status.success(), || format!("{out:?}"))?;

    let directory = lab.gateway.directory().display().to_string();
    let gateway = |words: &[&str]| {
        let mut command = Command::new(lab.gateway.program());
        command.args(words);
        towline_testkit::process::finish(command, std::time::Duration::from_secs(30))
    };
    for words in [&["serve", "--dir", &directory][..], &["config", "check", "--dir", &directory]] {
        let out = gateway(words)?;
        let said = String::from_utf8_lossy(&[&*out.stdout, &*out.stderr].concat()).into_owned();
        ensure(!out.status.success(), || format!("{words:?}: {out:?}"))?;
        for part in [&*id, "\"Environment\" = \"dev\"", "\"environment\" = \"prod\"", "remove-tag"]
        {
            ensure(said.contains(part), || format!("{words:?} does not say {part}: {said}"))?;
        }
    }
    let out = gateway(&["remove-tag", "--dir", &directory, "device", &id, "environment"])?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    let out = gateway(&["config", "check", "--dir", &directory])?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    lab.gateway.start_again()?;
    let found = tags_of(&lab.admin(), &id)?;
    let expected = json!([{ "Key": "Environment", "Value": "dev" }]);
    ensure(found == expected, || format!("{found}"))
}

#[test]
fn a_list_shows_no_output_to_who_may_not_read_it() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab, "prod")?;
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["ssm:ListCommandInvocations", "ssm:GetCommandInvocation"],
          "Resource": "*" },
        { "Effect": "Deny", "Action": "ssm:GetCommandInvocation", "Resource": "*",
          "Condition": { "StringEquals": { "ssm:resourceTag/Environment": "prod" } } },
    ] });
    let ann = lab.user("ann", Some(&policy.to_string()))?;
    let body = json!({ "DocumentName": "AWS-RunShellScript", "InstanceIds": [device.id()],
        "Parameters": { "commands": ["echo word-of-the-day; echo more >&2"] } });
    let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
    let command = sent["Command"]["CommandId"].as_str().unwrap_or_default().to_owned();
    let read = json!({ "CommandId": command, "InstanceId": device.id() });
    eventually("the command has ended", COMMAND, || {
        let read = lab.admin().api("AmazonSSM.GetCommandInvocation", &read).ok()?;
        (read["Status"] == "Success").then_some(())
    })?;
    let (denied, _) = fails(&ann, "AmazonSSM.GetCommandInvocation", &read)?;
    ensure(denied.contains("AccessDenied"), || denied)?;
    let list = json!({ "CommandId": command, "Details": true });
    let plugin = |operator: &Operator| -> Outcome<Value> {
        let mut listed = operator.api("AmazonSSM.ListCommandInvocations", &list)?;
        Ok(listed["CommandInvocations"][0]["CommandPlugins"][0].take())
    };
    let seen = plugin(&lab.admin())?;
    ensure(seen["Output"].as_str().is_some_and(|text| text.contains("word-of-the-day")), || {
        format!("{seen}")
    })?;
    ensure(seen["TowlineOutputWithheld"].is_null(), || format!("{seen}"))?;
    let seen = plugin(&ann)?;
    ensure(seen["TowlineOutputWithheld"] == true, || format!("{seen}"))?;
    ensure(seen["Output"] == "" && seen["Status"] == "Success" && seen["ResponseCode"] == 0, || {
        format!("{seen}")
    })
}
