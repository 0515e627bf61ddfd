//! The command line's other commands against a real gateway: what they print for people, what they
//! print for scripts (the API's own objects), what they change, and how a device is named.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use towline_testkit::lab::operator::COMMAND;
use towline_testkit::lab::{Activation, Device, DeviceSetup, Keys, Lab, Operator};
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, process};

use crate::codes::{DENIED, REFUSED, USAGE};

/// Reads the devices of one user, and nothing else.
const READER: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["ssm:DescribeInstanceInformation","sts:GetCallerIdentity"],"Resource":"*"}]}"#;

/// `towline WORDS… -o json`, read.
fn json(operator: &Operator, words: &[&str]) -> Outcome<Value> {
    let text = operator.text(&[words, &["-o", "json"]].concat())?;
    serde_json::from_str(&text)
        .map_err(|e| Trouble::new(format!("towline {}: {e}: {text}", words.join(" "))))
}

/// The string at `path` (a JSON pointer).
fn text(value: &Value, path: &str) -> Outcome<String> {
    let found = value.pointer(path).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| Trouble::new(format!("no text at {path} of {value}")))
}

/// The strings of member `name` of all objects in the list `list`.
fn column(value: &Value, list: &str, name: &str) -> Outcome<Vec<String>> {
    let items =
        value[list].as_array().ok_or_else(|| Trouble::new(format!("no list {list} in {value}")))?;
    items.iter().map(|item| text(item, &format!("/{name}"))).collect()
}

fn named(name: &str, tags: &[(&str, &str)]) -> DeviceSetup {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    DeviceSetup { name: Some(name.into()), tags, ..DeviceSetup::default() }
}

/// Exit code of `towline exec DEVICE -- echo in`, and what it said.
fn hello(lab: &Lab, device: &str) -> Outcome<(Option<i32>, String)> {
    let out = lab.admin().run(&["exec", device, "--", "echo", "in"])?;
    let said = [out.stdout, out.stderr].concat();
    Ok((out.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn a_device_is_named_by_its_id_its_name_or_a_tag_that_only_it_has() -> Outcome {
    let lab = Lab::start()?;
    let one = lab.device_with(&named("pi-1", &[("site", "shed"), ("kind", "pi")]))?;
    let two = lab.device_with(&named("pi-2", &[("site", "barn"), ("kind", "pi")]))?;
    let words = [
        (one.id(), &one),
        ("pi-1", &one),
        ("tag:site=shed", &one),
        ("pi-2", &two),
        ("tag:site=barn", &two),
    ];
    for (number, (word, device)) in words.into_iter().enumerate() {
        ensure(hello(&lab, word)? == (Some(0), "in\n".into()), || {
            format!("{word} is not {}", device.id())
        })?;
        // The session's row says on which device it really was. It is written when the session is
        // over, the newest is first.
        let history = eventually("the session is history", PATIENCE, || {
            let history = json(&lab.admin(), &["sessions", "--history"]).ok()?;
            (history["Sessions"].as_array()?.len() == number + 1).then_some(history)
        })?;
        ensure(text(&history, "/Sessions/0/Target")? == device.id(), || {
            format!("{word}: {history}")
        })?;
    }
    let (code, said) = hello(&lab, "tag:kind=pi")?;
    ensure(code == Some(REFUSED) && said.contains("2 devices match"), || {
        format!("{code:?}: {said}")
    })?;
    ensure(said.contains(one.id()) && said.contains(two.id()), || {
        format!("it does not name both: {said}")
    })?;
    for nobody in ["pi-3", "tag:site=attic", "tag:kind=PI"] {
        let (code, said) = hello(&lab, nobody)?;
        ensure(code == Some(REFUSED) && said.contains("no device matches"), || {
            format!("{nobody}: {code:?}: {said}")
        })?;
    }
    let (code, said) = hello(&lab, "tag:site")?;
    ensure(code == Some(USAGE) && said.contains("tag:KEY=VALUE"), || format!("{code:?}: {said}"))
}

#[test]
fn devices_are_listed_by_tag_and_by_state() -> Outcome {
    let lab = Lab::start()?;
    let here = lab.device_with(&named("here", &[("site", "shed")]))?;
    let mut gone = lab.device_with(&named("gone", &[("site", "shed"), ("old", "yes")]))?;
    let never = lab.enrolled(&named("never", &[]))?;
    gone.process()?.stop()?;
    let ids = |words: &[&str]| -> Outcome<Vec<String>> {
        let mut ids = column(
            &json(&lab.admin(), &[&["devices"], words].concat())?,
            "InstanceInformationList",
            "InstanceId",
        )?;
        ids.sort();
        Ok(ids)
    };
    let wanted = |devices: &[&Device]| {
        let mut ids: Vec<_> = devices.iter().map(|device| device.id().to_owned()).collect();
        ids.sort();
        ids
    };
    eventually("the gateway sees who is away", PATIENCE, || {
        (ids(&["--state", "online"]).ok()? == wanted(&[&here])).then_some(())
    })?;
    for (words, devices) in [
        (&[][..], &[&here, &gone, &never][..]),
        (&["--tag", "site=shed"], &[&here, &gone]),
        (&["--tag", "site=shed", "--tag", "old=yes"], &[&gone]),
        (&["--tag", "site=shed", "--state", "online"], &[&here]),
        (&["--tag", "site=barn"], &[]),
        (&["--state", "offline"], &[&gone, &never]),
        (&["--state", "pending"], &[]),
    ] {
        let found = ids(words)?;
        ensure(found == wanted(devices), || format!("devices {words:?}: {found:?}"))?;
    }
    let table = lab.admin().text(&["devices"])?;
    let line = table.lines().find(|line| line.contains(here.id())).unwrap_or_default();
    ensure(table.starts_with("ID ") && table.lines().count() == 4, || table.clone())?;
    ensure(line.contains("here") && line.contains("online") && line.contains("site=shed"), || {
        table.clone()
    })?;
    ensure(table.matches(" offline ").count() == 2, || table.clone())?;
    let wrong = lab.admin().run(&["devices", "--tag", "shed"])?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure(wrong.status.code() == Some(USAGE) && said.contains("KEY=VALUE"), || {
        format!("{}: {said}", wrong.status)
    })
}

#[test]
fn tags_are_set_shown_and_removed_and_policies_see_them() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&named("pi", &[("site", "shed")]))?;
    let admin = lab.admin();
    admin.text(&["tag", "pi", "floor=2", "site=barn"])?;
    let shown = json(&admin, &["tag", device.id()])?;
    let mut tags: Vec<_> = column(&shown, "TagList", "Key")?
        .into_iter()
        .zip(column(&shown, "TagList", "Value")?)
        .collect();
    tags.sort();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    ensure(tags == [pair("floor", "2"), pair("site", "barn")], || format!("{tags:?}"))?;
    admin.text(&["tag", "tag:floor=2", "--remove", "site"])?;
    let table = admin.text(&["tag", "pi"])?;
    ensure(table == "KEY    VALUE\nfloor  2\n", || table.clone())?;
    let refused = lab.user("reader", Some(READER))?.run(&["tag", device.id(), "floor=3"])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure(refused.status.code() == Some(DENIED), || format!("{refused:?}"))?;
    ensure(said.contains("ssm:AddTagsToResource"), || {
        format!("the refusal does not name the action: {said}")
    })
}

#[test]
fn sessions_are_listed_attached_to_and_ended() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device_with(&named("pi", &[]))?;
    let admin = lab.admin();
    ensure(json(&admin, &["sessions"])?["Sessions"] == serde_json::json!([]), || {
        "a session before any".into()
    })?;
    let mut shell = admin.terminal(&["shell", "pi", "--reason", "a look at the log"])?;
    shell.line("secret=kept; echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    let listed = json(&admin, &["sessions", "--device", "pi"])?;
    let id = text(&listed, "/Sessions/0/SessionId")?;
    ensure(text(&listed, "/Sessions/0/Target")? == device.id(), || listed.to_string())?;
    ensure(text(&listed, "/Sessions/0/Status")? == "Connected", || listed.to_string())?;
    ensure(text(&listed, "/Sessions/0/Reason")? == "a look at the log", || listed.to_string())?;
    let owner = text(&listed, "/Sessions/0/Owner")?;
    ensure(owner == text(&json(&admin, &["whoami"])?, "/Arn")?, || owner.clone())?;
    let others = json(&admin, &["sessions", "--owner", &owner.replace(":user/", ":user/not-")])?;
    ensure(others["Sessions"] == serde_json::json!([]), || others.to_string())?;
    // A second terminal takes the session over; the first one is told.
    let mut again = admin.terminal(&["attach", &id])?;
    again.line("echo is-$secret")?;
    again.expect("is-kept")?;
    shell.expect("another client has taken the session over")?;
    shell.expect("you watch the session now")?;
    shell.send("\x03")?;
    let status = shell.finish(PATIENCE)?;
    ensure(!status.success(), || format!("the first terminal ended with {status}"))?;
    let answer = json(&admin, &["terminate", &id])?;
    ensure(text(&answer, "/SessionId")? == id, || answer.to_string())?;
    again.expect("the session was terminated")?;
    again.finish(PATIENCE)?;
    let history = eventually("the session is history", PATIENCE, || {
        let history = json(&admin, &["sessions", "--history"]).ok()?;
        (history.pointer("/Sessions/0/SessionId")?.as_str()? == id).then_some(history)
    })?;
    ensure(text(&history, "/Sessions/0/Status")? == "Terminated", || history.to_string())?;
    ensure(history.pointer("/Sessions/0/EndDate").is_some(), || history.to_string())?;
    let table = admin.text(&["sessions", "--history"])?;
    ensure(
        table.starts_with("SESSION ") && table.contains(&id) && table.contains(device.id()),
        || table.clone(),
    )?;
    let over = admin.run(&["attach", &id])?;
    ensure(!over.status.success() && over.stdout.is_empty(), || {
        format!("a session that is over: {over:?}")
    })
}

#[test]
fn an_activation_is_made_used_listed_and_deleted() -> Outcome {
    let lab = Lab::start()?;
    let admin = lab.admin();
    let made = json(
        &admin,
        &[
            "activation",
            "create",
            "--limit",
            "2",
            "--name",
            "shed",
            "--tag",
            "site=shed",
            "--expires-in",
            "12h",
            "--description",
            "for the shed",
        ],
    )?;
    let activation =
        Activation { id: text(&made, "/ActivationId")?, code: text(&made, "/ActivationCode")? };
    let mut device = lab.unenrolled(&DeviceSetup::default())?;
    device.enroll(&activation)?;
    device.start()?;
    device.wait_online(&admin)?;
    // It got its name and its tag from the activation.
    ensure(
        hello(&lab, "shed")?.0 == Some(0) && hello(&lab, "tag:site=shed")?.0 == Some(0),
        || "not so".into(),
    )?;
    let listed = json(&admin, &["activation", "list"])?;
    let of_it = |name: &str| {
        listed.pointer(&format!("/ActivationList/0/{name}")).cloned().unwrap_or_default()
    };
    ensure(of_it("ActivationId") == activation.id.as_str(), || listed.to_string())?;
    ensure(of_it("RegistrationLimit") == 2 && of_it("RegistrationsCount") == 1, || {
        listed.to_string()
    })?;
    ensure(
        of_it("Description") == "for the shed" && of_it("DefaultInstanceName") == "shed",
        || listed.to_string(),
    )?;
    ensure(!listed.to_string().contains(&activation.code), || {
        "the code is shown once more".into()
    })?;
    let table = admin.text(&["activation", "list"])?;
    ensure(
        table.contains(&activation.id) && table.contains("1/2") && table.contains("valid"),
        || table.clone(),
    )?;
    admin.text(&["activation", "delete", &activation.id])?;
    ensure(
        json(&admin, &["activation", "list"])?["ActivationList"] == serde_json::json!([]),
        || "not deleted".into(),
    )?;
    let late = lab.unenrolled(&DeviceSetup::default())?.try_enroll(&activation, &[])?;
    ensure(!late.status.success(), || "a deleted activation let a device in".into())?;
    ensure(hello(&lab, "shed")?.0 == Some(0), || {
        "the device that came in with it does not stay".into()
    })
}

#[test]
fn an_activation_for_people_names_its_code_and_the_only_authority_to_believe() -> Outcome {
    let lab = Lab::start()?;
    let said = lab.admin().text(&["activation", "create", "--limit", "2"])?;
    let after = |label: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(label));
        line.map(|rest| rest.trim().to_owned())
            .ok_or_else(|| Trouble::new(format!("no {label}: {said}")))
    };
    let activation = Activation { id: after("Activation id")?, code: after("Activation code")? };
    let authority = said.split("--authority ").nth(1).unwrap_or_default();
    let authority = authority.split_whitespace().next().unwrap_or_default();
    ensure(authority.len() == 64, || said.clone())?;
    let device = lab.unenrolled(&DeviceSetup::default())?;
    let other = "0".repeat(64);
    let refused = device.try_enroll(&activation, &["--authority", &other])?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure(refused.status.code() == Some(77) && words.contains(authority), || words)?;
    let taken = device.try_enroll(&activation, &["--authority", authority])?;
    ensure(taken.status.success(), || format!("{taken:?}"))
}

#[test]
fn users_keys_and_policies_are_administered() -> Outcome {
    let lab = Lab::start()?;
    let admin = lab.admin();
    let device = lab.device_with(&named("pi", &[]))?;
    let made = json(&admin, &["admin", "user", "create", "ann", "--tag", "team=field"])?;
    let arn = text(&made, "/Principal/Arn")?;
    ensure(arn.ends_with(":user/ann"), || arn.clone())?;
    let key = json(&admin, &["admin", "key", "create", "ann"])?;
    let ann = lab.operator(Keys::from_json(&key["AccessKey"])?);
    ensure(ann.text(&["whoami"])? == format!("{arn}\n"), || "not ann".into())?;
    let identity = json(&ann, &["whoami"])?;
    ensure(
        text(&identity, "/Arn")? == arn && text(&identity, "/Account")? == lab.gateway.account(),
        || identity.to_string(),
    )?;
    let denied = ann.run(&["devices"])?;
    ensure(denied.status.code() == Some(DENIED), || {
        format!("a user without a policy: {denied:?}")
    })?;
    let file = lab.file("reader.json", READER)?.display().to_string();
    admin.text(&["admin", "policy", "put", "ann", "reader", &file])?;
    ensure(ann.text(&["devices"])?.contains(device.id()), || {
        "the policy is without effect".into()
    })?;
    ensure(admin.text(&["admin", "policy", "list", "ann"])? == "reader\n", || "no list".into())?;
    let got: Value =
        serde_json::from_str(&admin.text(&["admin", "policy", "get", "ann", "reader"])?)?;
    ensure(got == serde_json::from_str::<Value>(READER)?, || got.to_string())?;
    admin.text(&["admin", "policy", "delete", "ann", "reader"])?;
    let denied = ann.run(&["devices"])?;
    ensure(denied.status.code() == Some(DENIED), || {
        format!("a policy outlives its end: {denied:?}")
    })?;
    let users = json(&admin, &["admin", "user", "list"])?;
    ensure(column(&users, "Principals", "PrincipalName")?.contains(&"ann".to_owned()), || {
        users.to_string()
    })?;
    let table = admin.text(&["admin", "user", "list"])?;
    ensure(table.starts_with("USER ") && table.contains("team=field"), || table.clone())?;
    admin.text(&["admin", "user", "delete", "ann"])?;
    let gone = ann.run(&["whoami"])?;
    ensure(gone.status.code() == Some(DENIED), || format!("a key outlives its user: {gone:?}"))
}

#[test]
fn an_access_key_is_listed_switched_off_and_on_and_removed() -> Outcome {
    let lab = Lab::start()?;
    let admin = lab.admin();
    admin.text(&["admin", "user", "create", "bob"])?;
    let file = admin.text(&["admin", "key", "create", "bob"])?;
    let setting = |name: &str| {
        let line =
            file.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        line.map(|rest| rest.trim().to_owned()).ok_or_else(|| Trouble::new(format!("no {name}")))
    };
    ensure(file.starts_with("[bob]\n"), || "not the form of a credentials file".into())?;
    let keys =
        Keys { id: setting("aws_access_key_id")?, secret: setting("aws_secret_access_key")? };
    // As it stands: a credentials file that AWS's tools and ours read.
    let credentials = lab.file("credentials", &file)?;
    let mut with_profile = admin.towline(&["whoami", "--profile", "bob"]);
    with_profile.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    with_profile.env("AWS_SHARED_CREDENTIALS_FILE", credentials);
    let out = process::finish(with_profile, COMMAND)?;
    ensure(String::from_utf8_lossy(&out.stdout).ends_with(":user/bob\n"), || format!("{out:?}"))?;
    let bob = lab.operator(keys.clone());
    for (word, wanted) in [("disable", Some(DENIED)), ("enable", Some(0)), ("delete", Some(DENIED))]
    {
        admin.text(&["admin", "key", word, "bob", &keys.id])?;
        let listed = json(&admin, &["admin", "key", "list", "bob"])?;
        let status =
            listed.pointer("/AccessKeys/0/Status").and_then(Value::as_str).map(str::to_owned);
        let right = [("disable", Some("Inactive")), ("enable", Some("Active")), ("delete", None)];
        ensure(right.contains(&(word, status.as_deref())), || format!("{word}: {listed}"))?;
        ensure(!listed.to_string().contains(&keys.secret), || {
            "the secret is shown once more".into()
        })?;
        let out = bob.run(&["whoami"])?;
        ensure(out.status.code() == wanted, || format!("after {word}: {out:?}"))?;
    }
    Ok(())
}

#[test]
fn a_policy_that_is_none_is_refused_with_its_fault_and_the_old_one_stays() -> Outcome {
    let lab = Lab::start()?;
    lab.user("ann", Some(READER))?;
    let mut put = lab.admin().towline(&["admin", "policy", "put", "ann", "test", "-"]);
    put.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = put.spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| Trouble::new("no stdin"))?;
    stdin.write_all(br#"{"Version":"2012-10-17","Statement":[{"Effect":"Permit","Action":"*","Resource":"*"}]}"#)?;
    drop(stdin);
    let out = process::finish_child(child, "towline admin policy put", COMMAND)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.code() == Some(REFUSED) && said.contains("Effect"), || {
        format!("{}: {said}", out.status)
    })?;
    let kept: Value =
        serde_json::from_str(&lab.admin().text(&["admin", "policy", "get", "ann", "test"])?)?;
    ensure(kept == serde_json::from_str::<Value>(READER)?, || kept.to_string())
}

#[test]
fn administration_of_what_is_not_there_or_is_there_already_names_its_kind_and_name() -> Outcome {
    let lab = Lab::start()?;
    let admin = lab.admin();
    lab.user("ann", Some(READER))?;
    admin.text(&["admin", "group", "create", "ops"])?;
    let id = "mi-0123456789abcdef0";
    for (words, said) in [
        (&["user", "delete", "bob"][..], "there is no user bob"),
        (&["role", "delete", "bob"], "there is no role bob"),
        (&["group", "delete", "bob"], "there is no group bob"),
        (&["policy", "--of", "role", "list", "bob"], "there is no role bob"),
        (&["policy", "delete", "ann", "x"], "there is no policy of user ann with the name x"),
        (
            &["key", "delete", "ann", "AKIA0000000000000000"],
            "no access key of user ann with the id",
        ),
        (&["group", "add", "ops", "bob"], "there is no user bob"),
        (&["group", "remove", "ops", "ann"], "there is no member of group ops: ann"),
        (&["boundary", "get", "ann"], "there is no boundary of user ann"),
        (&["provider", "show", "corp"], "there is no identity provider corp"),
        (&["provider", "redirect", "corp", "own"], "there is no identity provider corp"),
        (&["webhook", "delete", "shift"], "there is no webhook shift"),
        (&["device", "revoke-key", id], id),
        (&["user", "create", "Ann"], "cannot create user Ann"),
        (&["group", "create", "ops"], "cannot create group ops"),
    ] {
        let out = admin.run(&[&["admin"], words].concat())?;
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        let refused = out.status.code() == Some(REFUSED) && told.contains(said);
        ensure(refused, || format!("{words:?}: {}: {told}", out.status))?;
    }
    Ok(())
}

#[test]
fn one_key_of_a_device_is_revoked_or_all_and_the_answer_says_which() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let admin = lab.admin();
    let keys = admin.text(&["admin", "device", "keys", device.id()])?;
    let first = keys.lines().nth(1).and_then(|line| line.split(' ').next()).unwrap_or_default();
    admin.text(&["admin", "device", "rotate-key", device.id()])?;
    // Of the two, the former one is retired: it counts no more, and may be revoked all the same.
    let one = ["admin", "device", "revoke-key", device.id(), "--fingerprint", first];
    let said = admin.text(&one)?;
    ensure(said.contains("keys revoked: 1; keys that still count: 1\n"), || said.clone())?;
    ensure(said.contains("sessions and commands ended: 0\n"), || said.clone())?;
    let again = admin.run(&one)?;
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure(told.contains("no key with this fingerprint that is not revoked"), || told.clone())?;
    let said = admin.text(&["admin", "device", "revoke-key", device.id()])?;
    ensure(said.contains("keys revoked: 1; none is left: enroll the device again"), || said.clone())
}

#[test]
fn a_session_that_is_not_there_or_has_no_terminal_is_told_in_words() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let admin = lab.admin();
    let typo = "nobody-0123456789abcdefg";
    for words in [&["terminate", typo][..], &["commands", typo], &["attach", typo]] {
        let out = admin.run(words)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(out.status.code() == Some(REFUSED), || format!("{words:?}: {out:?}"))?;
        ensure(said.contains("no session") || said.contains("no such session"), || said.clone())?;
    }
    // A client of AWS hears of an unknown id what AWS answers.
    admin.api("AmazonSSM.TerminateSession", &serde_json::json!({ "SessionId": typo }))?;
    let mut exec = admin.towline(&["exec", device.id(), "--", "sh", "-c", "read x; echo got-$x"]);
    let mut child = exec.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| Trouble::new("no stdin"))?;
    let active = || {
        let body = serde_json::json!({ "State": "Active" });
        let active = admin.api("AmazonSSM.DescribeSessions", &body).ok()?;
        let one = active["Sessions"].get(0)?;
        (one["Status"] == "Connected").then(|| one["SessionId"].as_str().map(str::to_owned))?
    };
    let id = eventually("the command runs", PATIENCE, active)?;
    let attach = admin.run(&["attach", &id])?;
    let said = String::from_utf8_lossy(&attach.stderr).into_owned();
    ensure(attach.status.code() == Some(REFUSED) && said.contains("has no terminal"), || {
        format!("{attach:?}")
    })?;
    let verify = admin.run(&["verify", &id])?;
    let said = String::from_utf8_lossy(&verify.stdout).into_owned();
    ensure(verify.status.success() && said.contains("has not ended"), || format!("{verify:?}"))?;
    std::io::Write::write_all(&mut stdin, b"it\n")?;
    drop(stdin);
    let out = process::finish_child(child, "towline exec", PATIENCE)?;
    ensure(out.stdout == b"got-it\n" && out.status.success(), || {
        format!("the command was broken by the attach: {out:?}")
    })?;
    let again = admin.text(&["terminate", &id])?;
    ensure(again.contains("had ended before"), || again.clone())
}

#[test]
fn an_empty_user_and_a_port_in_use_are_told_in_words() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let empty = lab.admin().run(&["exec", "--user", "", device.id(), "--", "id"])?;
    ensure(empty.status.code() == Some(USAGE), || format!("{empty:?}"))?;
    let body = serde_json::json!({
        "Target": device.id(), "DocumentName": "Towline-Exec",
        "Parameters": { "argv": ["id"], "runAsUser": [""] },
    });
    let (status, said) = lab.admin().api_raw("AmazonSSM.StartSession", &body.to_string())?;
    ensure(status == 400 && said.contains("InvalidParameters"), || said.clone())?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let place = taken.local_addr()?;
    let forward =
        lab.admin().run(&["forward", device.id(), &format!("{}:localhost:22", place.port())])?;
    let said = String::from_utf8_lossy(&forward.stderr).into_owned();
    ensure(!forward.status.success() && said.contains(&place.to_string()), || said.clone())
}
