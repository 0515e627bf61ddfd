//! A session on the agent's side: shell on a terminal, command with its outputs apart.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use towline_ssm::message::{MessageType, PayloadType};
use towline_testkit::Outcome;
use towline_testkit::terminal::Terminal;

use super::control::Up;
use super::stream::Stream;
use super::{VendorAgent, port};

/// How long the agent waits until the rest of its output is acknowledged: 2 s.
const DRAIN: Duration = Duration::from_secs(2);
/// For much output on a busy machine; at ten messages a second it would be far from enough.
const LONG_DRAIN: Duration = Duration::from_secs(20);

/// How long the agent waits before it sends an error.
const BEFORE_ERROR: Duration = Duration::from_secs(1);
/// A user that no device of this peer has.
pub(crate) const NOBODY: &str = "no-such-user";

/// Runs one session to its end.
pub(crate) fn run(agent: &Arc<VendorAgent>, payload: &Value, up: &SyncSender<Up>) {
    let session = payload["TaskId"].as_str().unwrap_or_default().to_owned();
    let content: Value =
        serde_json::from_str(payload["Content"].as_str().unwrap_or_default()).unwrap_or_default();
    let document = &content["DocumentContent"];
    let kind = document["sessionType"].as_str().unwrap_or_default().to_owned();
    agent.note(format!(
        "session {kind} as {:?} runAs {}",
        content["RunAsUser"].as_str().unwrap_or_default(),
        document["inputs"]["runAsEnabled"]
    ));
    if agent.faults.by_hand.load(Ordering::Relaxed) {
        return agent.note(format!("ordered {session}"));
    }
    let outcome = match content["RunAsUser"].as_str() {
        Some(NOBODY) => fail(agent, &session, &kind, &document["properties"]),
        _ => serve(agent, &session, &kind, document),
    };
    let (status, words) = match outcome {
        Ok(()) => ("Success", String::new()),
        Err(trouble) => ("Failed", trouble.to_string()),
    };
    agent.note(format!("session {kind} over {status} {words}"));
    let complete = json!({
        "SchemaVersion": 1, "TaskId": session, "Topic": "agent_task_complete",
        "FinalTaskStatus": status, "IsRoutingFailure": false, "Output": words, "RetryNumber": 1,
    });
    let _ = up.send((MessageType::AgentTaskComplete, complete));
}

/// A user that the device does not have: the words go out as an error after the agent's own second,
/// and the data channel ends without "Terminating".
fn fail(agent: &Arc<VendorAgent>, session: &str, kind: &str, properties: &Value) -> Outcome {
    let mut stream = Stream::open(agent, session)?;
    greet(agent, &mut stream, kind, properties)?;
    let end = Instant::now() + BEFORE_ERROR;
    while Instant::now() < end {
        stream.turn()?;
    }
    let words = format!("failed to start pty since RunAs user {NOBODY} does not exist");
    stream.send(PayloadType::StdErr, words.as_bytes());
    while !stream.is_acknowledged() {
        stream.turn()?;
    }
    Err(towline_testkit::Trouble::new(format!("\n----------ERROR-------\n{words}")))
}

fn serve(agent: &Arc<VendorAgent>, session: &str, kind: &str, document: &Value) -> Outcome {
    let properties = &document["properties"];
    let mut stream = Stream::open(agent, session)?;
    greet(agent, &mut stream, kind, properties)?;
    let system = agent.platform.frame;
    let branch = &properties[system];
    let command = branch["commands"].as_str().unwrap_or_default();
    let of_words = if system == "windows" { by_powershell } else { program };
    match kind {
        "Standard_Stream" => {
            let own = if system == "windows" { "windows" } else { "linux" };
            let profile = document["inputs"]["shellProfile"][own].as_str().unwrap_or_default();
            on_terminal(&mut stream, &shell(&["-i"]), profile)?;
        }
        "InteractiveCommands" if system == "windows" => {
            on_terminal(&mut stream, &by_powershell(command), "")?;
        }
        "InteractiveCommands" => on_terminal(&mut stream, &shell(&["-c", command]), "")?,
        "NonInteractiveCommands" if branch["separateOutputStream"] == true => {
            apart(&mut stream, of_words(command))?;
        }
        "NonInteractiveCommands" => together(&mut stream, of_words(command))?,
        "Port" if properties["type"] == "LocalPortForwarding" => {
            port::muxed(&mut stream, properties)?;
        }
        "Port" => port::raw(&mut stream, properties)?,
        other => return Err(towline_testkit::Trouble::new(format!("no plugin for {other}"))),
    }
    let end = Instant::now() + if stream.is_hurried() { LONG_DRAIN } else { DRAIN };
    while !stream.is_acknowledged() && !stream.closed && Instant::now() < end {
        stream.turn()?;
    }
    stream.state("Terminating");
    Ok(())
}

fn shell(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(words).env("PS1", "vendor$ ").env("TERM", "xterm");
    command
}

/// How a session begins: a terminal without a handshake, or with a late one.
fn greet(agent: &Arc<VendorAgent>, stream: &mut Stream, kind: &str, properties: &Value) -> Outcome {
    let is_terminal = matches!(kind, "Standard_Stream" | "InteractiveCommands");
    if is_terminal && !agent.faults.shakes_hands.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut left = agent.faults.ignores.load(Ordering::Relaxed) as usize;
    while is_terminal && left > 0 {
        for (kind, payload) in stream.turn()? {
            if kind == PayloadType::Output {
                left = left.saturating_sub(payload.len());
            }
        }
    }
    shake_hands(stream, kind, properties)
}

fn shake_hands(stream: &mut Stream, kind: &str, properties: &Value) -> Outcome {
    let request = json!({
        "AgentVersion": "3.3.0.0",
        "RequestedClientActions": [{
            "ActionType": "SessionType",
            "ActionParameters": { "SessionType": kind, "Properties": properties },
        }],
    });
    stream.send(PayloadType::HandshakeRequest, request.to_string().as_bytes());
    loop {
        let came = stream.turn()?;
        if came.iter().any(|(kind, _)| *kind == PayloadType::HandshakeResponse) {
            break;
        }
    }
    let complete = json!({ "HandshakeTimeToComplete": 1_000_000, "CustomerMessage": "" });
    stream.send(PayloadType::HandshakeComplete, complete.to_string().as_bytes());
    Ok(())
}

fn on_terminal(stream: &mut Stream, command: &Command, profile: &str) -> Outcome {
    let mut terminal = Terminal::start(command, 24, 80)?;
    if !profile.is_empty() {
        terminal.line(profile)?;
    }
    loop {
        for (kind, payload) in stream.turn()? {
            match kind {
                PayloadType::Output => terminal.send(&payload)?,
                PayloadType::Size => {
                    let size: Value = serde_json::from_slice(&payload)?;
                    let side = |name: &str| size[name].as_u64().and_then(|n| u16::try_from(n).ok());
                    terminal.resize(side("rows").unwrap_or(0), side("cols").unwrap_or(0))?;
                }
                _ => {}
            }
        }
        if stream.closed {
            return Ok(());
        }
        if stream.has_room() {
            let portion = terminal.portion(Instant::now() + Duration::from_millis(2))?;
            if portion.is_empty() && terminal.has_ended() {
                return Ok(());
            }
            stream.send(PayloadType::Output, &portion);
        }
    }
}

/// Both outputs as one, when the command has ended. No exit code is sent.
fn together(stream: &mut Stream, mut command: Command) -> Outcome {
    let (mut reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    drop(command); // and its ends of the pipe
    let mut out = Vec::new();
    reader.read_to_end(&mut out)?;
    child.wait()?;
    stream.send(PayloadType::Output, &out);
    Ok(())
}

/// A command without a terminal as the agent starts it on Linux: words are split as a shell splits
/// them, and no shell reads them.
fn program(command: &str) -> Command {
    let mut words = words_of(command).into_iter();
    let mut made = Command::new(words.next().unwrap_or_default());
    made.args(words).env("TERM", "xterm");
    made
}

/// A command as PowerShell reads it, as far as tests need that: words in single quotes after the
/// call operator are a program with its arguments; any other line is given to a shell as it is.
fn by_powershell(command: &str) -> Command {
    let Some(called) = command.strip_prefix("& ") else { return shell(&["-c", command]) };
    let bare = called.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let mut words = bare.unwrap_or_default().split("' '").map(|word| word.replace("''", "'"));
    let mut made = Command::new(words.next().unwrap_or_default());
    made.args(words);
    made
}

/// Words with their quotes taken off.
fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match (quote, next) {
            (Some(open), _) if next == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(rest.next()),
            (None, ' ' | '\n' | '\t') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word);
    words
}

fn apart(stream: &mut Stream, mut command: Command) -> Outcome {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (put, comes) = mpsc::sync_channel::<(PayloadType, Vec<u8>)>(64);
    let read = |mut from: Box<dyn Read + Send>, kind: PayloadType, put: mpsc::SyncSender<_>| {
        std::thread::spawn(move || {
            let mut chunk = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut chunk) {
                if put.send((kind, chunk[..read].to_vec())).is_err() {
                    return;
                }
            }
        });
    };
    if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
        read(Box::new(out), PayloadType::Output, put.clone());
        read(Box::new(err), PayloadType::StdErr, put);
    }
    let mut flows = false;
    loop {
        for (_, payload) in stream.turn()? {
            if payload == [3] {
                child.kill()?;
            }
        }
        if stream.closed {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        if !stream.has_room() {
            continue;
        }
        match comes.try_recv() {
            Ok((kind, bytes)) => {
                stream.send(kind, &bytes);
                if !std::mem::replace(&mut flows, true) {
                    stream.note("bytes flow");
                }
            }
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => break,
        }
    }
    let code = child.wait()?.code().unwrap_or(137);
    if stream.leaves_without_exit_code() {
        return Ok(());
    }
    stream.send(PayloadType::ExitCode, format!("EXIT_CODE: {code}").as_bytes());
    Ok(())
}
