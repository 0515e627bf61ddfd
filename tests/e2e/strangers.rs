//! Strangers in numbers: what one address can do to others, and to its own users, is bounded.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use towline_testkit::https::{self, Request};
use towline_testkit::lab::{Device, GatewaySetup, Lab};
use towline_testkit::strangers::Strangers;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, facts};

const PATIENCE: Duration = Duration::from_secs(60);

fn strangers(lab: &Lab, source: Option<IpAddr>) -> Strangers {
    Strangers { host: lab.gateway.address().to_string(), ca: lab.gateway.ca().into(), source }
}

fn works(lab: &Lab, device: &Device) -> Outcome {
    let out = lab.admin().run(&["exec", device.id(), "--", "echo", "in"])?;
    ensure(out.stdout == b"in\n", || format!("a decent user is hurt: {out:?}"))
}

fn events(lab: &Lab) -> Outcome<Vec<Value>> {
    let text = lab.admin().text(&["audit", "-o", "json", "--since", "1h"])?;
    let answer: Value = serde_json::from_str(&text)?;
    Ok(answer["Events"].as_array().cloned().unwrap_or_default())
}

fn named<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["EventName"] == name).collect()
}

#[test]
fn a_flood_of_failures_leaves_a_count_and_pushes_nothing_out() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    works(&lab, &device)?;
    let flood = strangers(&lab, Some(IpAddr::V4(Ipv4Addr::new(127, 6, 6, 6))));
    let answered = flood.unsigned(3000)?;
    ensure(answered == 3000, || format!("{answered} answers"))?;
    let log = lab.gateway.logged();
    let lines = log.lines().filter(|line| line.contains("127.6.6.6")).count();
    ensure(lines < 20, || format!("{lines} lines in the log"))?;
    lab.gateway.process().stop()?; // counts are written at the end, or after a minute
    lab.gateway.start_again()?;
    let events = events(&lab)?;
    ensure(events.len() < 100, || format!("{} events", events.len()))?;
    let from_admin = |event: &&Value| event["Username"] == "admin";
    ensure(named(&events, "StartSession").iter().any(from_admin), || format!("{events:?}"))?;
    let count = named(&events, "RefusalsCounted");
    let text =
        count.first().ok_or_else(|| Trouble::new("no count"))?["CloudTrailEvent"].to_string();
    ensure(text.contains("29") && text.contains("127.6.6.6"), || text.clone())?;
    // The sink has the same, and verifies.
    let sink = lab.gateway.directory().join("evidence/records");
    let key = lab.gateway.directory().join("evidence.pub");
    eventually("the sink verifies", PATIENCE, || {
        let words = ["verify", &sink.display().to_string(), "--key", &key.display().to_string()];
        lab.admin().run(&words).ok().filter(|out| out.status.success()).map(drop)
    })
}

#[test]
fn silent_and_idle_connections_of_one_address_keep_nobody_out() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    // The address of device and operator: its share is theirs, too.
    let flood = strangers(&lab, None);
    let mut silent = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..400 {
        silent.push(flood.silent()?);
    }
    for _ in 0..300 {
        idle.push(flood.idle()?);
    }
    let begin = Instant::now();
    works(&lab, &device)?;
    ensure(begin.elapsed() < Duration::from_secs(40), || format!("{:?}", begin.elapsed()))
}

#[test]
fn bodies_that_stall_take_a_bounded_memory_and_unproven_heads_none() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    works(&lab, &device)?;
    let (region, known) = (lab.gateway.region().to_owned(), lab.gateway.admin().id.clone());
    let flood = strangers(&lab, None);
    let pid = lab.gateway.process().pid();
    let before = facts::memory(pid)?.rss;
    let mut held = Vec::new();
    for n in 0..100 {
        // An access key that there is, and one that there is not.
        let key = if n % 2 == 0 { known.as_str() } else { "AKIAAAAAAAAAAAAAAAAA" };
        held.push(flood.stalled(key, &region)?);
    }
    let grown = facts::memory(pid)?.rss.saturating_sub(before);
    ensure(grown < 40 * 1024, || format!("100 bodies of 1 MB took {grown} KiB"))?;
    works(&lab, &device)
}

#[test]
fn devices_return_while_a_stranger_of_their_address_floods() -> Outcome {
    let mut lab = Lab::start()?;
    let devices = (0..4).map(|_| lab.device()).collect::<Outcome<Vec<_>>>()?;
    let flood = strangers(&lab, None);
    let over = AtomicBool::new(false);
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = std::collections::VecDeque::new();
            while !over.load(Ordering::SeqCst) {
                held.extend(flood.silent().ok());
                if held.len() > 400 {
                    held.pop_front();
                }
                towline_testkit::trouble::pause(Duration::from_millis(2));
            }
        });
        let returned = devices.iter().try_for_each(|device| device.wait_online(&lab.admin()));
        let returned = returned.and_then(|()| works(&lab, &devices[0]));
        over.store(true, Ordering::SeqCst);
        returned
    })
}

#[test]
fn a_request_is_not_taken_again_after_a_restart() -> Outcome {
    let mut lab = Lab::start()?;
    let host = lab.gateway.address().to_string();
    let request = Request::json("AmazonSSM.CreateActivation", r#"{"IamRole":"towline"}"#);
    let bytes = request.signed(&host, lab.gateway.admin(), lab.gateway.region(), https::now())?;
    let first = https::exchange(&host, lab.gateway.ca(), None, &bytes)?;
    ensure(first.status == 200, || first.body.clone())?;
    lab.gateway.kill()?;
    lab.gateway.start_again()?;
    let again = https::exchange(&host, lab.gateway.ca(), None, &bytes)?;
    ensure(again.status == 400 && again.body.contains("already received"), || {
        format!("HTTP {}: {}", again.status, again.body)
    })
}

#[test]
fn a_balancer_tells_where_a_connection_comes_from_and_nobody_else_does() -> Outcome {
    let balancer = IpAddr::V4(Ipv4Addr::new(127, 7, 7, 7));
    let config = "proxy_protocol_from = [\"127.7.7.7\"]".to_owned();
    let lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let host = lab.gateway.address().to_string();
    let ask = |source: Option<IpAddr>, header: &[u8]| {
        let request = Request::json("AmazonSSM.DescribeActivations", "{}");
        let keys = lab.gateway.admin();
        let bytes = request.signed(&host, keys, lab.gateway.region(), https::now())?;
        https::exchange_behind(&host, lab.gateway.ca(), source, header, &bytes)
    };
    let text = ask(Some(balancer), b"PROXY TCP4 192.0.2.9 127.0.0.1 1234 8443\r\n")?;
    ensure(text.status == 200, || text.body.clone())?;
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x0a\x7f\0\0\x01\x04\xd2\x20\xfb";
    let binary = ask(Some(balancer), binary)?;
    ensure(binary.status == 200, || binary.body.clone())?;
    let without = ask(Some(balancer), b"");
    ensure(without.is_err(), || format!("a balancer without a header is served: {without:?}"))?;
    let forged = ask(None, b"PROXY TCP4 192.0.2.99 127.0.0.1 1234 8443\r\n");
    ensure(forged.is_err(), || format!("a client tells its address: {forged:?}"))?;
    ensure(ask(None, b"")?.status == 200, || "a client without a header is refused".into())?;
    let text = serde_json::to_string(&events(&lab)?)?;
    for (address, seen) in [("192.0.2.9", true), ("192.0.2.10", true), ("192.0.2.99", false)] {
        let found = text.contains(&format!("{address}\\"));
        ensure(found == seen, || format!("{address} in the trail: {found}\n{text}"))?;
    }
    Ok(())
}

#[test]
fn guesses_at_the_end_of_a_sign_in_are_throttled_and_harm_no_other_source() -> Outcome {
    let lab = Lab::start()?;
    let host = lab.gateway.address().to_string();
    let logout = |last: u8, n: u32| {
        let body = format!("{{\"RefreshToken\":\"{n:043}\"}}");
        let head = format!(
            "POST /sign-in/logout HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let source = IpAddr::V4(Ipv4Addr::new(127, 8, 8, last));
        https::exchange(&host, lab.gateway.ca(), Some(source), head.as_bytes())
    };
    let answers = (0..40).map(|n| logout(8, n)).collect::<Outcome<Vec<_>>>()?;
    let (first, last) = (&answers[0], &answers[39]);
    ensure(first.status == 200, || format!("{first:?}"))?;
    ensure(last.status == 400 && last.body.contains("Throttling"), || format!("{last:?}"))?;
    let other = logout(9, 0)?;
    ensure(other.status == 200, || format!("{other:?}"))
}
