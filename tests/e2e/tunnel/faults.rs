//! What goes wrong: links that are cut, gateways that are killed, places that refuse, policies that
//! say no.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use towline_testkit::lab::{Device, DeviceSetup, Lab, Operator};
use towline_testkit::process::Signal;
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually, ports};

use super::{Forward, PATIENCE, ask, echo_server, pattern};

/// Sends a lot through an echo while `trouble` happens; all of it has to come back.
fn all_comes_back(forward: &Forward, trouble: impl FnOnce() -> Outcome) -> Outcome {
    const SIZE: usize = 6_000_000;
    let bytes = pattern(3, SIZE);
    let mut out = forward.connect()?;
    let mut back = out.try_clone()?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> Outcome {
            for piece in bytes.chunks(100_000) {
                out.write_all(piece)?;
                pause(Duration::from_millis(5));
            }
            Ok(())
        });
        let mut got = vec![0; SIZE];
        back.read_exact(&mut got[..SIZE / 4])?;
        trouble()?;
        back.read_exact(&mut got[SIZE / 4..])?;
        writer.join().map_err(|_| Trouble::new("the writer failed"))??;
        ensure(got == bytes, || "the echo differs".into())
    })
}

#[test]
fn a_link_that_is_cut_costs_no_byte() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    let forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    all_comes_back(&forward, || {
        ensure(device.relay.cut() > 0, || "there was no link to cut".into())?;
        Ok(())
    })
}

#[test]
fn a_gateway_that_is_killed_in_the_middle_costs_no_byte() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    let forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    let gateway = &mut lab.gateway;
    all_comes_back(&forward, || {
        gateway.kill()?;
        gateway.start_again()
    })
}

/// The words of a forward that has to fail at its start.
fn refused(operator: &Operator, device: &Device, route: &str) -> Outcome<(Option<i32>, String)> {
    let out = operator.run(&["forward", device.id(), route])?;
    Ok((out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned()))
}

/// What the forward prints when a local connection leads nowhere; the connection is broken, not
/// closed politely.
fn leads_nowhere(forward: &mut Forward, word: &str) -> Outcome {
    let mut stream = forward.connect()?;
    let end = stream.read(&mut [0; 1]);
    ensure(end.is_err(), || format!("the connection did not break: {end:?}"))?;
    forward
        .running
        .wait_for("the forward says why", 0, PATIENCE, |text| text.contains(word).then_some(()))
}

#[test]
fn a_port_that_refuses_and_a_name_that_nobody_knows_break_one_connection_with_a_word() -> Outcome {
    let lab = Lab::start()?;
    let setup = DeviceSetup {
        config: "policy.allowed_forwards = [\"localhost:*\", \"nobody.invalid:80\"]".into(),
        ..DeviceSetup::default()
    };
    let device = lab.device_with(&setup)?;
    let closed = ports::free()?;
    let mut forward = Forward::start(&lab, &device, &format!("0:{}", closed.port()))?;
    leads_nowhere(&mut forward, "Connection refused")?;
    // The forward goes on: as soon as somebody listens there, it leads there.
    let late = TcpListener::bind(closed)?;
    let serving = std::thread::spawn(move || {
        late.accept().and_then(|(mut stream, _)| stream.write_all(b"late"))
    });
    let mut word = [0; 4];
    forward.connect()?.read_exact(&mut word)?;
    ensure(word == *b"late", || format!("{word:?}"))?;
    serving.join().map_err(|_| Trouble::new("the server failed"))??;
    let mut forward = Forward::start(&lab, &device, "0:nobody.invalid:80")?;
    leads_nowhere(&mut forward, "cannot resolve nobody.invalid")?;
    // `proxy` dials at once, and says the same in place of a session.
    let out = lab.admin().run(&["proxy", device.id(), &closed.port().to_string()])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.code() == Some(253) && said.contains("Connection refused"), || {
        format!("{out:?}")
    })
}

#[test]
fn the_device_has_the_last_word_about_where_a_forward_leads() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    for (route, word) in [
        ("0:169.254.169.254:80", "169.254.169.254:80 (policy.allowed_forwards)"),
        ("0:10.1.2.3:22", "10.1.2.3:22 (policy.allowed_forwards)"),
    ] {
        let (code, said) = refused(&lab.admin(), &device, route)?;
        ensure(code == Some(250) && said.contains(word), || format!("{route}: {code:?} {said}"))?;
    }
    // A star lets everything be reached but what only the closest network should reach.
    let setup = DeviceSetup {
        config: "policy.allowed_forwards = [\"*:80\"]".into(),
        ..DeviceSetup::default()
    };
    let open = lab.device_with(&setup)?;
    let (code, said) = refused(&lab.admin(), &open, "0:169.254.169.254:80")?;
    ensure(code == Some(250) && said.contains("169.254.169.254:80"), || {
        format!("{code:?} {said}")
    })?;
    let (code, said) = refused(&lab.admin(), &open, "0:localhost:22")?;
    ensure(code == Some(250) && said.contains("localhost:22"), || format!("{code:?} {said}"))
}

#[test]
fn each_document_is_a_right_of_its_own() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"ssm:StartSession","Resource":["arn:aws:ssm:*:*:managed-instance/*",
            "arn:aws:ssm:*:*:document/AWS-StartPortForwardingSession"]},
        {"Effect":"Allow","Action":["ssm:ResumeSession","ssm:TerminateSession"],"Resource":"*"}]}"#;
    let ann = lab.user("ann", Some(policy))?;
    let forward = Forward::of(&ann, &lab, &device, &format!("0:{}", server.port()))?;
    ask(&mut forward.connect()?, b"allowed")?;
    let (code, said) = refused(&ann, &device, "0:127.0.0.1:80")?;
    ensure(code == Some(254), || format!("to a host she has no right: {code:?} {said}"))?;
    let out = ann.run(&["proxy", device.id(), "22"])?;
    ensure(out.status.code() == Some(254), || format!("to ssh she has none either: {out:?}"))
}

#[test]
fn the_end_of_a_tunnel_says_where_it_led_and_what_it_carried() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    let mut forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    ask(&mut forward.connect()?, &pattern(4, 50_000))?;
    forward.running.stop()?;
    let place = format!("tunnel to localhost:{}: ", server.port());
    let details = eventually("the session is over", PATIENCE, || {
        let sessions = lab
            .admin()
            .api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "History" }))
            .ok()?;
        let details = sessions["Sessions"][0]["Details"].as_str()?.to_owned();
        details.contains(&place).then_some(details)
    })?;
    let bytes = |word: &str| -> Option<u64> {
        let front = details.split_once(word)?.0;
        front.rsplit(' ').next()?.parse().ok()
    };
    let (sent, received) = (bytes(" bytes to the device"), bytes(" bytes from it"));
    let right = |n: Option<u64>| n.is_some_and(|n| (50_000..52_000).contains(&n));
    ensure(right(sent) && right(received), || format!("50,000 bytes each way: {details}"))?;
    let trail = lab.admin().text(&["-o", "json", "audit"])?;
    ensure(
        trail.contains("TunnelEnded") && trail.contains(&format!("localhost:{}", server.port())),
        || trail.clone(),
    )
}

#[test]
fn a_session_that_was_terminated_ends_the_forward_and_an_idle_one_comes_back() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    let mut forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    ask(&mut forward.connect()?, b"before")?;
    let sessions =
        lab.admin().api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" }))?;
    let id = sessions["Sessions"][0]["SessionId"]
        .as_str()
        .ok_or_else(|| Trouble::new("no session"))?
        .to_owned();
    lab.admin().api("AmazonSSM.TerminateSession", &serde_json::json!({ "SessionId": id }))?;
    eventually("the forward ends", PATIENCE, || (!forward.running.is_running()).then_some(()))?;
    // The device is gone for good and comes back as a new process: its sessions are gone, the
    // forward is not.
    let mut device = lab.device()?;
    let mut forward = Forward::start(&lab, &device, &format!("0:127.0.0.1:{}", server.port()))?;
    ask(&mut forward.connect()?, b"before")?;
    device.process()?.stop()?;
    device.start()?;
    device.wait_online(&lab.admin())?;
    forward.running.wait_for("the session is over", 0, PATIENCE, |text| {
        text.contains("starts a new session").then_some(())
    })?;
    eventually("a new session carries the next connection", PATIENCE, || {
        ask(&mut forward.connect().ok()?, b"after").ok()
    })
}

/// Has the session of a forward end while the forward is cut off: it stands still, and the gateway
/// that held its connection is gone when it goes on.
fn ends_meanwhile(lab: &mut Lab, forward: &Forward, end: impl FnOnce(&Lab) -> Outcome) -> Outcome {
    forward.running.signal(Signal::STOP)?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    end(lab)?;
    eventually("the session has ended", PATIENCE, || {
        open_session(lab).ok()?.is_none().then_some(())
    })?;
    forward.running.signal(Signal::CONT)
}

fn open_session(lab: &Lab) -> Outcome<Option<String>> {
    let asked = serde_json::json!({ "State": "Active" });
    let sessions = lab.admin().api("AmazonSSM.DescribeSessions", &asked)?;
    Ok(sessions["Sessions"][0]["SessionId"].as_str().map(str::to_owned))
}

#[test]
fn a_forward_whose_session_ended_in_an_outage_begins_anew_unless_somebody_ended_it() -> Outcome {
    const ENDED: &str = "the session has ended: the device came back without it";
    const ANEW: &str = "the next connection starts a new session";
    let mut lab = Lab::start()?;
    let mut device = lab.device()?;
    let server = echo_server()?;
    let mut forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    ask(&mut forward.connect()?, b"before")?;
    ends_meanwhile(&mut lab, &forward, |lab| {
        device.process()?.stop()?;
        device.start()?;
        device.wait_online(&lab.admin())
    })?;
    forward.running.wait_for("the session is over", 0, PATIENCE, |text| {
        (text.contains(ENDED) && text.contains(ANEW)).then_some(())
    })?;
    ask(&mut forward.connect()?, b"after")?;
    ends_meanwhile(&mut lab, &forward, |lab| {
        let id = open_session(lab)?.ok_or_else(|| Trouble::new("no session"))?;
        lab.admin()
            .api("AmazonSSM.TerminateSession", &serde_json::json!({ "SessionId": id }))
            .map(drop)
    })?;
    let status = forward.running.wait(PATIENCE)?;
    ensure(status.code() == Some(251), || format!("{status}: {}", forward.running.printed()))?;
    let printed = forward.running.printed();
    ensure(printed.contains("the session has ended: terminated by arn:"), || printed.clone())
}
