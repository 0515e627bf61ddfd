//! Run Command on the agent's side: jobs by name, each once; replies that are sent again until they
//! are acknowledged; cancel.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use serde_json::{Value, json};
use towline_ssm::message::MessageType;
use towline_testkit::eventually;

use super::VendorAgent;
use super::control::Up;

/// How long the agent waits for an acknowledgement before it sends a reply again: 83 s in truth.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a script may take.
const LONGEST: Duration = Duration::from_secs(120);

const SHELL: &str = "aws:runShellScript";
const POWERSHELL: &str = "aws:runPowerShellScript";

fn ack(job: &str, code: &str, words: &str) -> Up {
    let payload = json!({
        "schemaVersion": 1, "jobId": job, "acknowledgedMessageId": "m", "createdDate": "",
        "statusCode": code, "errorMessage": words,
    });
    (MessageType::AgentJobAck, payload)
}

fn reply(job: &str, status: &str, step: Option<(&str, i32, &str, &str)>) -> Up {
    let mut states = json!({});
    if let Some((status, code, out, err)) = step {
        states["step"] = json!({
            "status": status, "code": code, "name": "aws:runShellScript",
            "standardOutput": out, "standardError": err,
        });
    }
    let content =
        json!({ "documentStatus": status, "documentTraceOutput": "", "runtimeStatus": states });
    let payload = json!({
        "schemaVersion": 1, "jobId": job, "topic": "aws.ssm.sendCommand",
        "content": content.to_string(),
    });
    (MessageType::AgentJobReply, payload)
}

/// Takes a job, or says why not.
pub(crate) fn take(agent: &Arc<VendorAgent>, payload: &Value, up: &SyncSender<Up>) {
    let job = payload["JobId"].as_str().unwrap_or_default().to_owned();
    let content: Value =
        serde_json::from_str(payload["Content"].as_str().unwrap_or_default()).unwrap_or_default();
    if let Some(stopped) = content["CancelMessageId"].as_str() {
        agent.note(format!("job {stopped} stopped"));
        let _ = up.send(ack(&job, "200", "Successful"));
        let _ = up.send(reply(&job, "InProgress", None));
        return;
    }
    if agent.seen().iter().any(|line| *line == format!("job {job} taken")) {
        agent.note(format!("job {job} known"));
        let _ = up.send(ack(&job, "51405", "duplicate"));
        return;
    }
    agent.note(format!("job {job} taken"));
    let _ = up.send(ack(&job, "200", "Successful"));
    let agent = Arc::clone(agent);
    std::thread::spawn(move || run(&agent, &job, &content));
}

fn run(agent: &VendorAgent, job: &str, content: &Value) {
    agent.send_up(reply(job, "InProgress", None));
    let step = &content["DocumentContent"]["mainSteps"][0];
    let (action, inputs) = (step["action"].as_str().unwrap_or_default(), &step["inputs"]);
    let own = if agent.platform.health == "Windows" { POWERSHELL } else { SHELL };
    agent.note(format!("step {action} in {:?}", inputs["workingDirectory"]));
    if action != own {
        let words = format!("no plugin {action} on {}", agent.platform.health);
        agent.send_up(reply(job, "Failed", Some(("Failed", 1, "", &words))));
        return;
    }
    let lines: Vec<&str> =
        inputs["runCommand"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let child = Command::new("sh")
        .args(["-c", &lines.join("\n")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return };
    let stopped = format!("job {job} stopped");
    let mut cancelled = false;
    let ended = eventually("the script ends", LONGEST, || {
        if agent.seen().contains(&stopped) {
            cancelled = true;
            let _ = child.kill();
        }
        child.try_wait().ok().flatten()
    });
    if ended.is_err() {
        return;
    }
    let Ok(out) = child.wait_with_output() else { return };
    let code = out.status.code().unwrap_or(137);
    let status = match (cancelled, code) {
        (true, _) => "Cancelled",
        (_, 0) => "Success",
        _ => "Failed",
    };
    let (stdout, stderr) =
        (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let last = reply(job, status, Some((status, code, &stdout, &stderr)));
    let acknowledged = format!("reply of {job} kept");
    while !agent.is_stopped() && !agent.seen().contains(&acknowledged) {
        agent.replies.fetch_add(1, Ordering::Relaxed);
        agent.send_up(last.clone());
        let _ = eventually("it is acknowledged", AGAIN, || {
            agent.seen().contains(&acknowledged).then_some(())
        });
    }
}
