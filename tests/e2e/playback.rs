//! A recording in the hands of people: played, sought, exported, and opened by asciinema's own
//! player.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::process::Signal;
use towline_testkit::recall::newest_session;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, machine};

use crate::evidence::recordings;

const PATIENCE: Duration = Duration::from_secs(60);

/// The recording that lies in the sink, once it is there.
fn recording(lab: &Lab) -> Outcome<PathBuf> {
    let records = lab.gateway.directory().join("evidence/records");
    eventually("the recording", PATIENCE, || recordings(&records).pop())
}

/// Lines of an asciicast, each as JSON.
fn parsed(cast: &str) -> Outcome<Vec<Value>> {
    cast.lines()
        .map(|line| serde_json::from_str(line).map_err(|e| Trouble::new(format!("{e}: {line}"))))
        .collect()
}

#[test]
fn asciinemas_own_player_shows_what_was_on_the_screen() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("PS1='dev''$ '; printf '\\033[31mred\\033[0m \\303\\244 %s\\n' sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    shell.resize(30, 100)?;
    // The new size is on its way beside the keys.
    shell.line(
        "until [ \"$(stty size)\" = '30 100' ]; do sleep 0.05; done; echo resi''zed; exit 0",
    )?;
    shell.expect("resized")?;
    shell.finish(PATIENCE)?;
    let cast = lab.admin().text(&["export", &recording(&lab)?.to_string_lossy()])?;

    let lines = parsed(&cast)?;
    let header = &lines[0];
    ensure(
        header["version"] == 2 && header["width"].is_u64() && header["height"].is_u64(),
        || header.to_string(),
    )?;
    ensure(header["timestamp"].is_i64() && header["env"]["TERM"].is_string(), || {
        header.to_string()
    })?;
    let mut before = 0.0;
    for event in &lines[1..] {
        let fields = event.as_array().map_or(0, Vec::len);
        let (at, code) = (event[0].as_f64().unwrap_or(-1.0), event[1].as_str().unwrap_or_default());
        ensure(fields == 3 && at >= before && code.len() == 1 && event[2].is_string(), || {
            event.to_string()
        })?;
        before = at;
    }
    let has = |code: &str| lines[1..].iter().any(|event| event[1] == code);
    ensure(has("o") && has("r") && has("m") && !has("i"), || cast.clone())?;

    let file = lab.file("session.cast", &cast)?;
    let mut player = machine::python();
    player.args(["-m", "asciinema", "cat"]).arg(&file).stdin(Stdio::null());
    let out = towline_testkit::process::finish(player, PATIENCE)?;
    ensure(out.status.success(), || {
        format!("asciinema: {}", String::from_utf8_lossy(&out.stderr))
    })?;
    let shown: String =
        lines[1..].iter().filter(|e| e[1] == "o").filter_map(|e| e[2].as_str()).collect();
    ensure(String::from_utf8_lossy(&out.stdout) == shown, || format!("{out:?}"))?;
    ensure(shown.contains("\u{1b}[31mred\u{1b}[0m ä sum-42"), || shown.clone())
}

/// A program that would write to the viewer's clipboard, set a title, and have the terminal type an
/// answer; and that hides lines which its own operator saw behind the beginning of a title.
const HOSTILE: &str = "printf 'before\\033]52;c;ZXZpbA==\\007\\033]0;title\\033\\\\\\033[c\\033[6n\\033P+q544e\\033\\\\after\\n\\033]0;\\030one\\n\\007\\033]0;\\033[0mtwo\\n\\007\\033[3\\n1mthree\\n'";

#[test]
fn what_would_act_on_the_viewers_terminal_is_recorded_and_not_played() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    lab.admin().text(&["exec", device.id(), "--", "sh", "-c", HOSTILE])?;
    let path = recording(&lab)?;
    let path = path.to_string_lossy();
    for words in [vec!["play", &path, "--speed", "1000"], vec!["export", &path, "--format", "txt"]]
    {
        let shown = lab.admin().text(&words)?;
        for seen in ["beforeafter", "one", "two", "three"] {
            ensure(shown.contains(seen), || format!("{words:?} hides {seen}: {shown:?}"))?;
        }
        for hostile in ["]52", "ZXZpbA", "title", "\u{1b}[c", "\u{1b}[6n", "\u{1b}P"] {
            ensure(!shown.contains(hostile), || {
                format!("{words:?} lets {hostile:?} through: {shown:?}")
            })?;
        }
    }
    let kept = lab.admin().text(&["export", &path])?;
    ensure(kept.contains("ZXZpbA=="), || "evidence is not tidied up: it is shown tidily".into())
}

#[test]
fn what_is_taken_out_of_long_strings_leaves_a_mark() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let hiding = "printf 'before\\033]%0512d\\007after\\n' 7";
    lab.admin().text(&["exec", device.id(), "--", "sh", "-c", hiding])?;
    let path = recording(&lab)?;
    let path = path.to_string_lossy();
    for words in [vec!["play", &path, "--speed", "1000"], vec!["export", &path, "--format", "txt"]]
    {
        let shown = lab.admin().text(&words)?;
        let marked = shown.contains("before[512 characters left out]after");
        ensure(marked, || format!("{words:?}: {shown:?}"))?;
    }
    Ok(())
}

fn two_lines(lab: &Lab, device: &Device) -> Outcome<String> {
    lab.admin().text(&[
        "exec",
        device.id(),
        "--",
        "sh",
        "-c",
        "echo first; sleep 1.2; echo second",
    ])?;
    recording(lab)?;
    newest_session(&lab.admin(), device)
}

#[test]
fn a_player_that_is_ended_gives_the_terminal_back_as_it_was() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let on = "printf '\\033[?1049h\\033[?5h\\033[?7l\\033[4h'; echo drawn; sleep 1.2; echo later";
    lab.admin().text(&["exec", device.id(), "--", "/bin/sh", "-c", on])?;
    recording(&lab)?;
    let session = newest_session(&lab.admin(), &device)?;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let words = ["play", &session, "--speed", "0.05", "--idle-limit", "1000000"];
        let mut player = lab.admin().terminal(&words)?;
        player.expect("drawn")?;
        player.signal(signal)?;
        let undone = player.expect("\u{1b}[?1049l")?;
        for wanted in ["\u{1b}[?5l", "\u{1b}[?7h"] {
            ensure(undone.contains(wanted), || format!("{signal:?}: no {wanted:?} in {undone:?}"))?;
        }
        ensure(player.finish(PATIENCE)?.success(), || format!("{signal:?}: it did not end well"))?;
    }
    Ok(())
}

#[test]
fn a_session_is_sought_in_and_exported_in_three_forms() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let session = two_lines(&lab, &device)?;
    // From behind the end: all is shown at once, whatever the speed and the limit of pauses.
    let words =
        ["play", &session, "--from", "100000", "--speed", "0.05", "--idle-limit", "1000000"];
    let shown = lab.admin().text(&words)?;
    ensure(shown.contains("first") && shown.contains("second"), || shown.clone())?;
    let wrong = lab.admin().run(&["play", &session, "--speed", "0"])?;
    ensure(!wrong.status.success(), || "a speed of nothing".into())?;

    let text = lab.admin().text(&["export", &session, "--format", "txt"])?;
    ensure(text.lines().eq(["first", "second"]), || text.clone())?;
    let json = parsed(&lab.admin().text(&["export", &session, "--format", "json"])?)?;
    ensure(
        json[0].to_string().contains(&session) && json[0].to_string().contains(device.id()),
        || json[0].to_string(),
    )?;
    let outputs = |event: &&Value| event["Kind"] == "output" && event["Seconds"].is_f64();
    let said: String =
        json.iter().filter(outputs).filter_map(|event| event["Text"].as_str()).collect();
    ensure(said == "first\nsecond\n" || said == "first\r\nsecond\r\n", || said.clone())?;
    ensure(parsed(&lab.admin().text(&["export", &session])?)?[0]["version"] == 2, || {
        "no asciicast".into()
    })
}

#[test]
fn a_session_is_verified_by_its_name_and_an_unknown_name_is_reported() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let session = two_lines(&lab, &device)?;
    let told = lab.admin().text(&["verify", &session])?;
    ensure(told.contains("1 recordings") && told.contains("0 faults"), || told.clone())?;
    let none = lab.admin().run(&["verify", "admin-0123456789abcdefg"])?;
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    ensure(!none.status.success() && said.contains("no recording"), || said.clone())
}

#[test]
fn sessions_are_listed_with_who_where_and_the_place_of_their_recording() -> Outcome {
    let lab = Lab::start()?;
    let (one, two) = (lab.device()?, lab.device()?);
    let session = two_lines(&lab, &one)?;
    lab.admin().text(&["exec", two.id(), "--", "true"])?;
    let listed = lab.admin().text(&["logs", "--device", one.id(), "-o", "json"])?;
    let listed: Value = serde_json::from_str(&listed)?;
    let sessions = listed["Sessions"].as_array().cloned().unwrap_or_default();
    ensure(sessions.len() == 1 && sessions[0]["SessionId"] == session.as_str(), || {
        listed.to_string()
    })?;
    ensure(
        sessions[0]["Owner"].as_str().is_some_and(|owner| owner.ends_with("user/admin")),
        || listed.to_string(),
    )?;
    let url = sessions[0]["OutputUrl"]["S3OutputUrl"].as_str().unwrap_or_default().to_owned();
    let path = url.strip_prefix("file://").ok_or_else(|| Trouble::new(url.clone()))?;
    ensure(std::path::Path::new(path).is_file(), || format!("nothing lies at {url}"))
}

#[test]
fn preferences_that_this_gateway_cannot_obey_are_refused_in_words() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let content = serde_json::json!({
        "schemaVersion": "1.0", "description": "preferences", "sessionType": "Standard_Stream",
        "inputs": { "s3BucketName": "team-logs", "s3KeyPrefix": "sessions" },
    });
    let body = serde_json::json!({
        "Name": "SSM-SessionManagerRunShell", "DocumentType": "Session", "DocumentFormat": "JSON", "Content": content.to_string(),
    });
    lab.admin().api("AmazonSSM.CreateDocument", &body)?;
    let out = lab.admin().run(&["exec", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(
        !out.status.success()
            && said.contains("bucket team-logs")
            && said.contains("[evidence.s3]"),
        || said.clone(),
    )?;
    lab.admin().api(
        "AmazonSSM.DeleteDocument",
        &serde_json::json!({ "Name": "SSM-SessionManagerRunShell" }),
    )?;
    lab.admin().text(&["exec", device.id(), "--", "true"]).map(drop)
}

/// Reads a file by an XML parser, and prints its elements and attributes by name, then its text.
const READ_XML: &str = "import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
plain = lambda name: name.split('}')[-1]
print(*sorted({plain(e.tag) for e in root.iter()}))
print(*sorted({plain(a) for e in root.iter() for a in e.attrib}))
print('\\n'.join(e.text or '' for e in root.iter() if plain(e.tag) == 'text'))";

#[test]
fn a_picture_of_a_recording_is_well_formed_has_the_text_and_no_script() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut shell = lab.admin().shell(device.id())?;
    shell.line(
        "PS1='dev''$ '; clear; printf '\\033[1;31mred\\033[0m \\303\\244 %s\\n' sum-$((6 * 7))",
    )?;
    shell.expect("sum-42")?;
    // Markup, a title, a link and a change of direction: text at most.
    shell.line("printf '<script>alert(1)</script>&\\033]0;ti\\164le\\007\\033]8;;https://x\\007link\\342\\200\\256\\n'; exit 0")?;
    shell.expect("link")?;
    shell.finish(PATIENCE)?;
    let path = recording(&lab)?;
    let path = path.to_string_lossy();

    let svg = lab.admin().text(&["export", &path, "--format", "svg"])?;
    ensure(svg.len() <= 20_000, || format!("{} bytes", svg.len()))?;
    let file = lab.file("picture.svg", &svg)?;
    let mut parser = machine::python();
    parser.args(["-c", READ_XML]).arg(&file).stdin(Stdio::null());
    let out = towline_testkit::process::finish(parser, PATIENCE)?;
    ensure(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
    let read = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut lines = read.lines();
    ensure(lines.next() == Some("g rect svg text"), || read.clone())?;
    let attributes = lines.next().unwrap_or_default();
    let acts = |name: &str| name.starts_with("on") || name.contains("href") || name == "style";
    ensure(!attributes.split(' ').any(acts), || attributes.to_owned())?;
    let texts: Vec<&str> = lines.collect();
    ensure(texts.contains(&"red") && texts.contains(&"ä sum-42"), || read.clone())?;
    ensure(texts.contains(&"<script>alert(1)</script>&link"), || read.clone())?;
    ensure(!read.contains("title") && !svg.contains('\u{202e}'), || svg.clone())?;
    ensure(svg.contains("fill=\"#cd3131\" font-weight=\"bold\""), || svg.clone())?;

    let start = lab.admin().text(&["export", &path, "--format", "svg", "--at", "0"])?;
    ensure(start.contains("<svg") && !start.contains("sum-42"), || start.clone())?;
    let wrong = lab.admin().run(&["export", &path, "--format", "txt", "--at", "0"])?;
    ensure(wrong.status.code() == Some(252), || format!("{wrong:?}"))
}
