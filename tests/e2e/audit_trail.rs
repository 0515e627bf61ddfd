//! `towline audit`: who did what, by user, device and time, and while it happens; and what devices
//! themselves have to say.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde_json::Value;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

const PATIENCE: Duration = Duration::from_secs(60);

/// Names of the events that `towline audit` gives, newest first.
fn names(lab: &Lab, words: &[&str]) -> Outcome<Vec<(String, String)>> {
    let text = lab.admin().text(&[&["audit", "-o", "json"], words].concat())?;
    let answer: Value = serde_json::from_str(&text)?;
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = answer["Events"].as_array().cloned().unwrap_or_default();
    Ok(events.iter().map(|event| (text(event, "EventName"), text(event, "Username"))).collect())
}

#[test]
fn the_trail_is_searched_by_user_by_device_and_by_time() -> Outcome {
    let lab = Lab::start()?;
    let (one, two) = (lab.device()?, lab.device()?);
    let ann = lab.user("ann", None)?;
    let refused = ann.run(&["exec", one.id(), "--", "true"])?;
    ensure(!refused.status.success(), || "nobody has let her in".into())?;
    lab.admin().text(&["exec", two.id(), "--", "true"])?;

    let hers = names(&lab, &["--user", "ann"])?;
    ensure(hers.iter().any(|(name, _)| name == "StartSession"), || format!("{hers:?}"))?;
    ensure(hers.iter().all(|(_, user)| user == "ann"), || format!("{hers:?}"))?;
    let of_one = names(&lab, &["--device", one.id()])?;
    ensure(of_one.contains(&("StartSession".into(), "ann".into())), || format!("{of_one:?}"))?;
    ensure(!of_one.contains(&("StartSession".into(), "admin".into())), || format!("{of_one:?}"))?;
    let both = names(&lab, &["--device", two.id(), "--user", "ann"])?;
    ensure(both.iter().all(|(name, _)| name != "StartSession"), || format!("{both:?}"))?;

    let recent = names(&lab, &["--since", "1h"])?;
    ensure(recent.iter().any(|(name, _)| name == "StartSession"), || format!("{recent:?}"))?;
    let later = names(&lab, &["--since", "2039-01-01T00:00:00Z"])?;
    ensure(later.is_empty(), || format!("{later:?}"))?;
    let wrong = lab.admin().run(&["audit", "--since", "yesterday"])?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure(!wrong.status.success() && said.contains("a duration such as 90s"), || said.clone())
}

#[test]
fn a_follower_sees_what_happens_from_now_on_once() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut command =
        lab.admin().towline(&["audit", "--follow", "-o", "json", "--device", device.id()]);
    let mut follower = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let lines =
        BufReader::new(follower.stdout.take().ok_or_else(|| Trouble::new("no output"))?).lines();
    let (tell, told) = sync_channel::<String>(1_000);
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if tell.try_send(line).is_err() {
                break;
            }
        }
    });
    let mut seen: Vec<String> = Vec::new();
    for n in 0..3 {
        lab.admin().text(&["exec", "--reason", &format!("turn-{n}"), device.id(), "--", "true"])?;
        let reason = format!("turn-{n}");
        while !seen.iter().any(|line| line.contains(&reason)) {
            seen.push(
                told.recv_timeout(PATIENCE)
                    .map_err(|_| Trouble::new(format!("{reason} never came: {seen:?}")))?,
            );
        }
    }
    follower.kill()?;
    follower.wait()?;
    reader.join().map_err(|_| Trouble::new("the reader failed"))?;
    seen.extend(told.try_iter());
    for n in 0..3 {
        let reason = format!("turn-{n}");
        let starts = |line: &&String| line.contains(&reason) && line.contains("\"StartSession\"");
        ensure(seen.iter().filter(starts).count() == 1, || format!("{reason}: {seen:#?}"))?;
    }
    Ok(())
}

#[test]
fn what_a_device_does_and_refuses_is_an_event_of_its_own() -> Outcome {
    let lab = Lab::start()?;
    let setup =
        DeviceSetup { config: "policy.allow_root = false".to_owned(), ..DeviceSetup::default() };
    let device = lab.device_with(&setup)?;
    let out = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    ensure(!out.status.success(), || "root was let in".into())?;
    let events = names(&lab, &["--device", device.id()])?;
    for wanted in ["EnrolDevice", "DeviceConnected", "GrantRefused"] {
        ensure(events.iter().any(|(name, _)| name == wanted), || {
            format!("no {wanted}: {events:?}")
        })?;
    }
    let text = lab.admin().text(&["audit", "--device", device.id(), "-o", "json"])?;
    ensure(text.contains("policy.allow_root"), || text.clone())
}
