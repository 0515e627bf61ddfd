//! Live sessions of other users: watched, joined, and sent messages. Who may, what is seen, what
//! the owner and the record are told, and how it ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::postgres::Postgres;
use towline_testkit::process::Signal;
use towline_testkit::relay::Relay;
use towline_testkit::terminal::{PATIENCE, Terminal};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};
use towline_wire::client::{FromClient, ToClient};

use crate::codes::{DENIED, ENDED, REFUSED};
use crate::database::lab_at;
use crate::peers::client::{Channel, hear, open, say};

/// The right to watch sessions on devices of one environment.
fn may_watch(environment: &str, more: &[&str]) -> String {
    let mut actions = vec!["towline:WatchSession"];
    actions.extend(more);
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": actions, "Resource": "*",
        "Condition": { "StringEquals": { "aws:ResourceTag/Environment": environment } },
    }] })
    .to_string()
}

fn device(lab: &Lab) -> Outcome<Device> {
    let tags = vec![("Environment".to_owned(), "dev".to_owned())];
    lab.device_with(&DeviceSetup { tags, ..DeviceSetup::default() })
}

/// A shell of the administrator, and its session.
fn shell(lab: &Lab, device: &Device) -> Outcome<(Terminal, String)> {
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo before-$((40+2))")?;
    shell.expect("before-42")?;
    let active = json!({ "State": "Active" });
    let sessions = lab.admin().api("AmazonSSM.DescribeSessions", &active)?;
    let id = sessions["Sessions"][0]["SessionId"].as_str().unwrap_or_default().to_owned();
    ensure(!id.is_empty(), || format!("no session: {sessions}"))?;
    Ok((shell, id))
}

/// A viewer's channel of this user, past its first message.
fn watch(lab: &Lab, user: &Operator, session: &str) -> Outcome<Channel> {
    let granted = user.api("Towline.WatchSession", &json!({ "SessionId": session }))?;
    let text = |name: &str| granted[name].as_str().unwrap_or_default().to_owned();
    let mut channel = open(lab, &text("StreamUrl"))?;
    say(&mut channel, &FromClient::Watch { token: text("TokenValue") })?;
    let first = hear(&mut channel)?;
    ensure(matches!(first, ToClient::Watching { size: Some(_) }), || format!("{first:?}"))?;
    Ok(channel)
}

/// The recording of a session, when there is one.
fn recorded(lab: &Lab, session: &str) -> Option<String> {
    lab.admin().text(&["export", session, "--format", "cast"]).ok()
}

fn refused(user: &Operator, body: &Value) -> Outcome<String> {
    let (status, text) = user.api_raw("Towline.WatchSession", &body.to_string())?;
    ensure(status >= 400, || format!("{body} was done: {text}"))?;
    Ok(text)
}

#[test]
fn a_viewer_sees_the_screen_and_what_follows_and_the_owner_is_told() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab)?;
    let (mut owner, session) = shell(&lab, &device)?;
    let bob = lab.user("bob", Some(&may_watch("dev", &[])))?;
    let mut viewer = bob.terminal(&["watch", &session])?;
    viewer.expect("before-42")?;
    owner.expect("is watched by arn:aws:iam::")?;
    owner.expect("user/bob")?;
    viewer.line("echo from-the-viewer-$((1+1))")?;
    owner.line("echo after-$((40+2))")?;
    viewer.expect("after-42")?;
    let screen = owner.line("echo end-$((40+2))").and_then(|()| owner.expect("end-42"))?;
    ensure(!screen.contains("from-the-viewer-2"), || format!("a viewer has typed: {screen}"))?;
    owner.line("exit")?;
    ensure(owner.finish(PATIENCE)?.success(), || "the owner's shell did not end well".into())?;
    ensure(viewer.finish(PATIENCE)?.success(), || "the viewer did not end well".into())?;
    eventually("the recording names the viewer", PATIENCE, || {
        recorded(&lab, &session)?.contains("\"watched by arn:aws:iam::").then_some(())
    })?;
    let log = lab.gateway.logged();
    let line = log.lines().find(|line| line.contains("\"eventName\":\"WatchSession\""));
    let line = line.ok_or_else(|| Trouble::new("no audit line of WatchSession"))?;
    ensure(line.contains(&session) && line.contains("user/bob"), || line.to_owned())
}

#[test]
fn a_viewer_ends_within_a_second_after_its_right_and_the_session_goes_on() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab)?;
    let (mut owner, session) = shell(&lab, &device)?;
    let bob = lab.user("bob", Some(&may_watch("dev", &[])))?;
    let mut channel = watch(&lab, &bob, &session)?;
    let of_bob = json!({ "PrincipalName": "bob" });
    let policies = lab.admin().api("Towline.ListPrincipalPolicies", &of_bob)?;
    let name = policies["PolicyNames"][0].as_str().unwrap_or_default();
    lab.admin().api(
        "Towline.DeletePrincipalPolicy",
        &json!({ "PrincipalName": "bob", "PolicyName": name }),
    )?;
    let gone = Instant::now();
    let last = hear(&mut channel)?;
    let took = gone.elapsed();
    ensure(
        matches!(&last, ToClient::Refused { text, .. } if text.contains("right to watch")),
        || format!("{last:?}"),
    )?;
    // The second is the interval of `WATCH_RIGHT_EVERY`; a busy machine takes some time beside it.
    ensure(took < Duration::from_secs(5), || format!("the viewer ended after {took:?}"))?;
    owner.line("echo goes-on-$((40+2))")?;
    owner.expect("goes-on-42")?;
    owner.line("exit")?;
    ensure(owner.finish(PATIENCE)?.success(), || "the owner's shell did not end well".into())?;
    eventually("the recording says that nobody watches", PATIENCE, || {
        recorded(&lab, &session)?.contains("no longer watched by").then_some(())
    })
}

#[test]
fn only_who_may_watches_and_only_sessions_with_a_terminal() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab)?;
    let (mut owner, session) = shell(&lab, &device)?;
    let of_session = json!({ "SessionId": session });
    let stranger = lab.user("mallory", None)?;
    let text = refused(&stranger, &of_session)?;
    ensure(text.contains("towline:WatchSession"), || text.clone())?;
    let out = stranger.run(&["watch", &session])?;
    ensure(out.status.code() == Some(DENIED), || format!("{out:?}"))?;
    let elsewhere = lab.user("eve", Some(&may_watch("prod", &[])))?;
    refused(&elsewhere, &of_session)?;

    let bob = lab.user("bob", Some(&may_watch("dev", &[])))?;
    let unseen = json!({ "SessionId": session, "Unseen": true });
    let text = refused(&bob, &unseen)?;
    ensure(text.contains("towline:WatchSessionUnseen"), || text.clone())?;
    let unseen_too = may_watch("dev", &["towline:WatchSessionUnseen"]);
    let auditor = lab.user("auditor", Some(&unseen_too))?;
    let mut viewer = auditor.terminal(&["watch", &session, "--unseen"])?;
    viewer.expect("before-42")?;
    owner.line("echo quiet-$((40+2))")?;
    let screen = owner.expect("quiet-42")?;
    ensure(!screen.contains("watched by"), || format!("the owner was told: {screen}"))?;

    let mut command = lab.admin().towline(&["exec", device.id(), "--", "sleep", "60"]).spawn()?;
    let no_terminal = eventually("the command's session", PATIENCE, || {
        let active = json!({ "State": "Active" });
        let answer = lab.admin().api("AmazonSSM.DescribeSessions", &active).ok()?;
        let all = answer["Sessions"].as_array().cloned().unwrap_or_default();
        let other = all.into_iter().find(|one| one["DocumentName"] == "Towline-Exec");
        other.and_then(|one| one["SessionId"].as_str().map(str::to_owned))
    })?;
    let text = refused(&lab.admin(), &json!({ "SessionId": no_terminal }))?;
    command.kill()?;
    command.wait()?;
    ensure(text.contains("no terminal"), || text.clone())?;
    let out = bob.run(&["watch", "bob-0123456789abcdefg"])?;
    ensure(matches!(out.status.code(), Some(DENIED | REFUSED)), || format!("{out:?}"))
}

/// The right to join sessions on devices of the environment, and to open shells there.
fn may_join(more: &[&str]) -> String {
    let mut actions = vec!["towline:JoinSession", "towline:SendSessionMessage"];
    actions.extend(more);
    json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": actions, "Resource": "*",
          "Condition": { "StringEquals": { "aws:ResourceTag/Environment": "dev" } } },
    ] })
    .to_string()
}

#[test]
fn a_joiner_with_consent_types_in_place_of_the_owner_who_takes_the_session_back() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab)?;
    let (mut owner, session) = shell(&lab, &device)?;
    let bob = lab.user("bob", Some(&may_join(&["ssm:StartSession"])))?;
    // The right on the device is not enough: the document is asked for as well.
    let (_, text) =
        bob.api_raw("Towline.JoinSession", &json!({ "SessionId": session }).to_string())?;
    ensure(text.contains("document/"), || {
        format!("joined without a right to the document: {text}")
    })?;
    let start = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "ssm:StartSession", "Resource": "*" }] });
    lab.admin().api(
        "Towline.PutPrincipalPolicy",
        &json!({ "PrincipalName": "bob", "PolicyName": "start", "PolicyDocument": start.to_string() }),
    )?;
    let mut refused = bob.terminal(&["join", &session])?;
    owner.expect("user/bob asks to type into this session")?;
    owner.line("~n")?;
    let status = refused.finish(PATIENCE)?;
    ensure(status.code() == Some(DENIED), || format!("a refused joiner: {status}"))?;

    let mut joiner = bob.terminal(&["join", &session])?;
    owner.expect("user/bob asks to type into this session")?;
    owner.line("~y")?;
    owner.expect("you watch the session now")?;
    joiner.line("echo joined-$((40+2))")?;
    joiner.expect("joined-42")?;
    owner.expect("joined-42")?;

    // The former client watches, and takes the seat back.
    owner.line("")?;
    // Bob may not watch.
    let status = joiner.finish(PATIENCE)?;
    ensure(status.code() == Some(ENDED), || format!("the joiner lost the seat: {status}"))?;
    owner.line("echo back-$((40+2))")?;
    owner.expect("back-42")?;
    owner.line("exit")?;
    ensure(owner.finish(PATIENCE)?.success(), || "the owner's shell did not end well".into())?;
    eventually("the recording says who typed from where", PATIENCE, || {
        let text = recorded(&lab, &session)?;
        let typed = |who: &str| {
            text.contains(&format!("on is typed by arn:aws:iam::000000000000:user/{who}"))
        };
        (typed("bob") && typed("admin")).then_some(())
    })?;
    let log = lab.gateway.logged();
    let by = |consent: &str| {
        log.lines().any(|line| {
            line.contains("\"eventName\":\"JoinSession\"")
                && line.contains(&format!("\"consent\":\"{consent}\""))
        })
    };
    ensure(by("asked for"), || "no audit line of JoinSession by consent".into())
}

#[test]
fn a_joiner_keeps_the_seat_when_the_gateway_is_killed_and_started_again() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    server.psql("postgres", "create database towline")?;
    let mut lab = lab_at(&server.address("towline"))?;
    let device = device(&lab)?;
    let (mut owner, session) = shell(&lab, &device)?;
    let bob = lab.user("bob", Some(&may_join(&["ssm:StartSession"])))?;
    let start = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "ssm:StartSession", "Resource": "*" }] });
    let body = json!({ "PrincipalName": "bob", "PolicyName": "start",
        "PolicyDocument": start.to_string() });
    lab.admin().api("Towline.PutPrincipalPolicy", &body)?;
    let mut joiner = bob.terminal(&["join", &session])?;
    owner.expect("user/bob asks to type into this session")?;
    owner.line("~y")?;
    owner.expect("you watch the session now")?;
    joiner.line("echo joined-$((40+2))")?;
    joiner.expect("joined-42")?;
    eventually("the seat is stored", PATIENCE, || {
        let seats = "select count(*) from sessions where seat like '%user/bob%'";
        (server.psql("towline", seats).ok()? == "1").then_some(())
    })?;
    for _ in 0..2 {
        lab.gateway.kill()?;
        lab.gateway.start_again()?;
        joiner.line("echo after-$((40+2))")?;
        joiner.expect_within("after-42", PATIENCE)?;
    }
    joiner.line("exit")?;
    ensure(joiner.finish(PATIENCE)?.success(), || "the joiner's shell did not end well".into())
}

#[test]
fn a_right_takes_the_seat_without_consent_and_messages_stand_outside_of_the_stream() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab)?;
    let (mut owner, session) = shell(&lab, &device)?;
    let chief = lab.user("chief", Some(&may_join(&["towline:TakeOverSession"])))?;
    let said = chief.text(&["message", &session, "the device restarts at noon"])?;
    ensure(said == "delivered\n", || said.clone())?;
    owner.expect("user/chief: the device restarts at noon")?;
    let out = chief.run(&["message", &session, "two\nlines"])?;
    ensure(out.status.code() == Some(REFUSED), || format!("{out:?}"))?;

    let start = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "ssm:StartSession", "Resource": "*" }] });
    lab.admin().api(
        "Towline.PutPrincipalPolicy",
        &json!({ "PrincipalName": "chief", "PolicyName": "start", "PolicyDocument": start.to_string() }),
    )?;
    let mut joiner = chief.terminal(&["join", &session])?;
    joiner.line("echo taken-$((40+2))")?;
    joiner.expect("taken-42")?;
    owner.expect("you watch the session now")?;
    owner.send("\x03")?;
    let status = owner.finish(PATIENCE)?;
    ensure(status.code() == Some(ENDED), || format!("the owner lost the seat: {status}"))?;
    let text = recorded(&lab, &session).unwrap_or_default();
    ensure(!text.contains("restarts at noon"), || "the message is in the stream".into())?;
    joiner.line("exit")?;
    ensure(joiner.finish(PATIENCE)?.success(), || "the joiner's shell did not end well".into())
}

#[test]
fn a_terminal_that_was_offline_takes_no_seat_back_unasked() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab)?;
    let relay = Relay::to(lab.gateway.address())?;
    let far = lab.admin().at(format!("https://{}", relay.address()));
    let mut away = far.shell(device.id())?;
    away.line("echo here-$((40+2))")?;
    away.expect("here-42")?;
    let active = json!({ "State": "Active" });
    let sessions = lab.admin().api("AmazonSSM.DescribeSessions", &active)?;
    let session = sessions["Sessions"][0]["SessionId"].as_str().unwrap_or_default().to_owned();
    let lost = |away: &mut Terminal| {
        relay.close(true);
        relay.cut();
        away.expect("reconnecting")
    };
    lost(&mut away)?;
    relay.close(false);
    away.line("echo returned-$((40+2))")?;
    away.expect("returned-42")?;

    lost(&mut away)?;
    away.send("never-sent")?;
    let mut taker = lab.admin().terminal(&["attach", &session])?;
    taker.line("echo taken-$((40+2))")?;
    taker.expect("taken-42")?;
    relay.close(false);
    away.expect("another client has taken the session over; 10 bytes of your input were dropped")?;
    away.expect("you watch the session now")?;
    taker.line("echo still-$((40+2))")?;
    taker.expect("still-42")?;
    away.expect("still-42")?;

    away.line("")?;
    taker.expect("another client has taken the session over")?;
    away.line("echo back-$((40+2))")?;
    let screen = away.expect("back-42")?;
    ensure(!screen.contains("never-sent"), || format!("kept input was sent: {screen}"))?;
    // It has a seat again, to which it returns.
    lost(&mut away)?;
    relay.close(false);
    away.line("exit")?;
    ensure(away.finish(PATIENCE)?.success(), || "the shell did not end well".into())
}

#[test]
fn a_watch_that_a_signal_ends_leaves_the_terminal_as_it_was() -> Outcome {
    let lab = Lab::start()?;
    let device = device(&lab)?;
    let (mut owner, session) = shell(&lab, &device)?;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut viewer = lab.admin().terminal(&["watch", &session])?;
        owner.line("printf '\\033[?5h\\033[?25l\\033[4hset-%s\\n' $((40+2))")?;
        viewer.expect("set-42")?;
        viewer.signal(signal)?;
        viewer.finish(PATIENCE)?;
        let left = viewer.unread();
        for undone in ["\u{1b}[?5l", "\u{1b}[?25h", "\u{1b}[4l"] {
            ensure(left.contains(undone), || format!("{signal:?}: {undone:?} not in {left:?}"))?;
        }
        owner.line("printf '\\033[?5l\\033[?25h\\033[4l'; clear; echo calm-$((40+2))")?;
        owner.expect("calm-42")?;
    }
    Ok(())
}
