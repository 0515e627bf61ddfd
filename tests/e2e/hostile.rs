//! Peers that mean harm, or are broken: each costs the gateway little, gains nothing, and hurts
//! nobody else.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use towline_testkit::https::{self, Request};
use towline_testkit::lab::{Activation, Device, DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};
use towline_wire::frame::Frame;
use towline_wire::message::{RefusalCode, ToAgent};

use crate::peers::agent::{self, AgentLine};

/// How soon a connection that does nothing right must be closed: the longest of the gateway's own
/// patiences, and a margin.
const HANGS_UP: Duration = Duration::from_secs(25);

fn works(lab: &Lab, device: &Device) -> Outcome {
    let out = lab.admin().run(&["exec", device.id(), "--", "echo", "in"])?;
    ensure(out.stdout == b"in\n", || format!("a decent user is hurt: {out:?}"))
}

/// Reads until the other side closes.
fn is_hung_up_on(mut socket: impl Read) -> bool {
    let mut chunk = [0; 4096];
    loop {
        match socket.read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => {
                return !matches!(
                    e.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
            }
        }
    }
}

#[test]
fn garbage_in_place_of_tls_is_hung_up_on() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0x16, 3, 1, 0xff, 0xff, 1], &[0xff; 70_000]]
    {
        let mut socket = TcpStream::connect(lab.gateway.address())?;
        socket.set_read_timeout(Some(HANGS_UP))?;
        // A write may fail: the other side may have hung up in the middle of it.
        let _ = socket.write_all(garbage);
        ensure(is_hung_up_on(socket), || {
            format!("{} bytes of garbage hold a connection", garbage.len())
        })?;
    }
    works(&lab, &device)
}

#[test]
fn a_silent_client_is_hung_up_on() -> Outcome {
    let lab = Lab::start()?;
    let silent = TcpStream::connect(lab.gateway.address())?;
    silent.set_read_timeout(Some(HANGS_UP))?;
    let mut after_tls = https::connect(&lab.gateway.address().to_string(), lab.gateway.ca(), None)?;
    after_tls.sock.set_read_timeout(Some(HANGS_UP))?;
    after_tls.write_all(b"POST / HTTP/1.1\r\n")?;
    ensure(is_hung_up_on(silent), || "a silent connection is kept".into())?;
    ensure(is_hung_up_on(after_tls), || "a request without an end is kept".into())
}

#[test]
fn a_request_that_comes_byte_by_byte_is_hung_up_on_and_others_are_served_meanwhile() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut slow = https::connect(&lab.gateway.address().to_string(), lab.gateway.ca(), None)?;
    let begin = Instant::now();
    let mut closed = false;
    for byte in
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'a'))
    {
        if slow.write_all(&[byte]).and_then(|()| slow.flush()).is_err() {
            closed = true;
            break;
        }
        if begin.elapsed() > HANGS_UP + Duration::from_secs(10) {
            break;
        }
        lab.admin().api("AmazonSSM.DescribeInstanceInformation", &serde_json::json!({}))?;
    }
    ensure(closed, || "a slow request is kept for ever".into())?;
    works(&lab, &device)
}

fn stranger(lab: &Lab) -> Outcome<AgentLine> {
    agent::connect(lab, &agent::fresh_key()?, None)
}

#[test]
fn frames_that_are_none_end_the_link_of_a_stranger() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let oversize = [0xff, 0xff];
    let empty = [0, 0];
    let bad_message = [0, 4, 0, 0xff, 0xff, 0xff];
    let data_first = [0, 4, 1, 0, 0, b'x'];
    for bytes in [&oversize[..], &empty, &bad_message, &data_first, &[0x55; 40_000]] {
        let mut line = stranger(&lab)?;
        line.send(&Frame::Version { min: 1, max: 1 })?;
        // A write may fail: the other side may have hung up in the middle of it.
        let _ = line.send_bytes(bytes);
        line.hear_the_end()?;
    }
    works(&lab, &device)
}

#[test]
fn a_frame_that_never_ends_is_hung_up_on() -> Outcome {
    let lab = Lab::start()?;
    let mut line = stranger(&lab)?;
    line.send_bytes(&[0, 200, 0, 1, 2, 3])?;
    line.hear_the_end()
}

#[test]
fn an_unknown_key_without_an_activation_is_refused() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut line = stranger(&lab)?;
    // In the name of a device that exists: the name is nothing without its key.
    agent::say_hello(&mut line, device.id())?;
    let answer = agent::answer(&mut line)?;
    ensure(matches!(answer, ToAgent::Refuse { code: RefusalCode::UnknownDevice, .. }), || {
        format!("{answer:?}")
    })?;
    line.hear_the_end()?;
    works(&lab, &device)
}

#[test]
fn a_wrong_activation_code_is_refused_and_guessing_is_slowed_down() -> Outcome {
    let lab = Lab::start()?;
    let right = lab.activation(1)?;
    let guess = Activation { id: right.id.clone(), code: "x".repeat(right.code.len()) };
    let guesser = IpAddr::V4(Ipv4Addr::new(127, 9, 9, 9));
    let mut codes = Vec::new();
    for _ in 0..25 {
        let mut line = agent::connect(&lab, &agent::fresh_key()?, Some(guesser))?;
        agent::ask_to_enroll(&mut line, &guess)?;
        match agent::answer(&mut line)? {
            ToAgent::Refuse { code, .. } => codes.push(code),
            other => return ensure(false, || format!("a wrong code was answered with {other:?}")),
        }
    }
    ensure(codes.first() == Some(&RefusalCode::Activation), || format!("{codes:?}"))?;
    ensure(codes.last() == Some(&RefusalCode::RateLimited), || format!("{codes:?}"))?;
    // From elsewhere the right code still works.
    let mut line = stranger(&lab)?;
    agent::ask_to_enroll(&mut line, &right)?;
    let answer = agent::answer(&mut line)?;
    ensure(matches!(answer, ToAgent::Enrolled { .. }), || format!("{answer:?}"))
}

#[test]
fn an_activation_is_used_as_often_as_it_says_and_no_more() -> Outcome {
    let lab = Lab::start()?;
    let activation = lab.activation(2)?;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let mut line = stranger(&lab)?;
        agent::ask_to_enroll(&mut line, &activation)?;
        answers.push(agent::answer(&mut line)?);
    }
    let enrolled = answers.iter().filter(|a| matches!(a, ToAgent::Enrolled { .. })).count();
    ensure(enrolled == 2, || format!("{answers:?}"))?;
    ensure(matches!(answers[2], ToAgent::Refuse { code: RefusalCode::Activation, .. }), || {
        format!("{answers:?}")
    })
}

#[test]
fn two_devices_with_one_key_are_both_locked_out() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut copy = lab.enrolled(&DeviceSetup::default())?;
    for file in std::fs::read_dir(device.state())? {
        let file = file?;
        std::fs::copy(file.path(), copy.state().join(file.file_name()))?;
    }
    copy.start()?;
    eventually("the gateway says that the key was copied", Duration::from_secs(90), || {
        lab.gateway.logged().to_lowercase().contains("quarantine").then_some(())
    })?;
    eventually("neither gets in", Duration::from_secs(60), || {
        let out = lab.admin().run(&["exec", device.id(), "--", "true"]).ok()?;
        (!out.status.success()).then_some(())
    })
}

#[test]
fn a_request_that_was_overheard_cannot_be_sent_again() -> Outcome {
    let lab = Lab::start()?;
    let host = lab.gateway.address().to_string();
    let request = Request::json("AmazonSSM.CreateActivation", r#"{"IamRole":"towline"}"#);
    let bytes = request.signed(&host, lab.gateway.admin(), lab.gateway.region(), https::now())?;
    let first = https::exchange(&host, lab.gateway.ca(), None, &bytes)?;
    ensure(first.status == 200, || first.body.clone())?;
    // For two seconds equal requests are taken: clients sign with whole seconds, and a script may
    // mean both.
    let again = eventually("the overheard request is refused", Duration::from_secs(60), || {
        let again = https::exchange(&host, lab.gateway.ca(), None, &bytes).ok()?;
        (again.status != 200).then_some(again)
    })?;
    ensure(
        again.body.contains("InvalidSignatureException") && again.body.contains("already"),
        || format!("HTTP {}: {}", again.status, again.body),
    )
}

#[test]
fn who_fails_too_often_gets_no_reason_and_a_right_signature_passes() -> Outcome {
    let lab = Lab::start()?;
    let guesser = IpAddr::V4(Ipv4Addr::new(127, 8, 8, 8));
    let wrong =
        towline_testkit::lab::Keys { id: lab.gateway.admin().id.clone(), secret: "x".repeat(40) };
    let bad = lab.operator(wrong).from_address(guesser);
    let request = Request::json("AmazonSSM.DescribeActivations", "{}");
    let mut last = bad.send(&request)?;
    for _ in 0..30 {
        last = bad.send(&request)?;
    }
    ensure(last.body.contains("ThrottlingException"), || format!("after 30 failures: {last:?}"))?;
    let same_office = lab.admin().from_address(guesser).send(&request)?;
    ensure(same_office.status == 200, || same_office.body.clone())?;
    let elsewhere = lab.admin().send(&request)?;
    ensure(elsewhere.status == 200, || elsewhere.body.clone())
}
