//! Requests for access are told by mail, through a real server (PyPI's aiosmtpd) with TLS and a
//! log-in.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{Lab, Operator};
use towline_testkit::process::Running;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, files};

/// Attempts have pauses that double: 5 s, 10 s, 20 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// What `mail_server.py` takes.
const PASSWORD: &str = "ge heim,ü";

/// A server of mail, and what it has kept.
struct Server {
    running: Running,
    folder: PathBuf,
    mode: &'static str,
    port: u16,
}

impl Server {
    fn start(lab: &Lab, mode: &'static str, port: u16) -> Outcome<Self> {
        let folder = lab.directory().join("mail");
        let mut command = lab.admin().python();
        command.arg(workspace().join("tests/e2e/python/mail_server.py"));
        command.arg(&folder).args([mode, &port.to_string()]);
        let mut running =
            Running::start("mail server", command, &lab.directory().join("mail.log"))?;
        let port = running.wait_for("the server listens", 0, PATIENCE, |printed| {
            printed.lines().rev().find_map(|line| line.strip_prefix("listening ")?.parse().ok())
        })?;
        Ok(Self { running, folder, mode, port })
    }

    /// The section of `gateway.toml` for it.
    fn section(&self) -> String {
        let scheme = if self.mode == "tls" { "smtps" } else { "smtp" };
        format!(
            "[mail]\nserver = \"{scheme}://127.0.0.1:{}\"\nfrom = \"towline@gw.example\"\n\
             user = \"towline\"\npassword_file = \"mail-password\"\n",
            self.port
        )
    }

    fn mails(&self) -> Vec<Value> {
        let kept = std::fs::read_to_string(self.folder.join("mails")).unwrap_or_default();
        kept.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// So many mails, as soon as they are there.
    fn wait_for(&self, number: usize) -> Outcome<Vec<Value>> {
        eventually("the mails come", PATIENCE, || {
            let mails = self.mails();
            (mails.len() >= number).then_some(mails)
        })
    }
}

/// Starts the gateway anew with this password, these CAs and these sections.
fn configure(lab: &mut Lab, password: &str, ca: Option<&str>, more: &str) -> Outcome {
    let directory = lab.gateway.directory().to_owned();
    files::write(&directory.join("mail-password"), format!("{password}\n"))?;
    let path = directory.join("gateway.toml");
    let lines = std::fs::read_to_string(&path)?;
    let lines = lines.split("[outbound]").next().unwrap_or_default();
    let ca = ca.map(|ca| format!("ca = \"{ca}\"\n")).unwrap_or_default();
    let origin = format!("https://{}", lab.gateway.address());
    let console = format!("[console]\norigins = [\"{origin}\"]\n");
    files::write(
        &path,
        format!("{lines}[outbound]\nallow = [\"127.0.0.1\"]\n{ca}{more}{console}"),
    )?;
    lab.gateway.kill()?;
    lab.gateway.start_again()
}

fn asks(user: &Operator, device: &str, reason: &str) -> Outcome<String> {
    let targets = json!([{ "Key": "InstanceIds", "Values": [device] }]);
    let body = json!({ "Reason": reason, "Targets": targets });
    let answer = user.api("AmazonSSM.StartAccessRequest", &body)?;
    Ok(answer["AccessRequestId"].as_str().unwrap_or_default().to_owned())
}

fn receiver(admin: &Operator, name: &str, url: &str) -> Outcome<Value> {
    let body = json!({ "WebhookName": name, "Url": url, "Format": "Mail" });
    admin.api("Towline.CreateWebhook", &body)
}

/// Why the first message of a receiver was not taken.
fn last_error(admin: &Operator, name: &str) -> Outcome<String> {
    let listed = admin.api("Towline.ListWebhooks", &json!({}))?;
    let all = listed["Webhooks"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|webhook| webhook["WebhookName"] == name);
    let error = found.and_then(|webhook| webhook["LastError"].as_str());
    Ok(error.unwrap_or_default().to_owned())
}

fn header<'m>(mail: &'m Value, name: &str) -> &'m str {
    let headers = mail["headers"].as_array().into_iter().flatten();
    let mut found = headers.filter(|header| header[0] == name);
    found.next().and_then(|header| header[1].as_str()).unwrap_or_default()
}

/// Whether the text of a mail names these, and has this link alone.
fn is_text_with(mail: &Value, link: &str, named: &[&str]) -> Outcome {
    let text = mail["text"].as_str().unwrap_or_default();
    let right = text.contains(link) && named.iter().all(|name| text.contains(name));
    let has_one_link = text.matches("://").count() == 1 && !text.contains("WWW.evil");
    ensure(right && has_one_link, || text.to_owned())
}

#[test]
fn an_approver_is_told_by_mail_in_order_and_what_users_wrote_is_text_alone() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let users: Vec<Operator> = ["ann", "bob", "cid"]
        .iter()
        .map(|name| lab.user(name, Some(crate::access_requests::ASKS)))
        .collect::<Outcome<_>>()?;
    let refused = receiver(&lab.admin(), "oncall", "mailto:oncall@corp.example");
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    ensure(said.contains("[mail] in gateway.toml"), || said)?;

    let mut server = Server::start(&lab, "starttls", 0)?;
    let ca = server.folder.join("ca.pem").display().to_string();
    configure(&mut lab, PASSWORD, Some(&ca), &server.section())?;
    let admin = lab.admin();
    for url in ["mailto:a@b,c@d", "mailto:a@b?bcc=c@d", "mailto:a b@c", "oncall@corp.example"] {
        ensure(receiver(&admin, "bad", url).is_err(), || format!("{url} was taken"))?;
    }
    let made = receiver(&admin, "oncall", "mailto:oncall@corp.example")?;
    ensure(made["Secret"] == "", || format!("{made}"))?;

    let alone = asks(&users[0], device.id(), "leaks\rBcc: eve@evil.example");
    ensure(alone.is_err(), || format!("a carriage return alone: {alone:?}"))?;
    let reason = "leaks\r\nBcc: eve@evil.example\r\n\r\n.\r\nhttps://WWW.evil.example ü";
    let first = asks(&users[0], device.id(), reason)?;
    let mails = server.wait_for(1)?;
    let mail = &mails[0];
    ensure(mail["to"] == json!(["oncall@corp.example"]) && mail["tls"] == true, || {
        format!("{mail}")
    })?;
    ensure(mail["from"] == "towline@gw.example" && mail["defects"] == json!([]), || {
        format!("{mail}")
    })?;
    let names = mail["headers"].as_array().map_or(0, Vec::len);
    ensure(names == 9 && header(mail, "Bcc").is_empty(), || format!("{mail}"))?;
    ensure(header(mail, "Subject").ends_with(&first), || format!("{mail}"))?;
    let link = format!("https://{}/console/#/access?request={first}", lab.gateway.address());
    is_text_with(mail, &link, &[device.id(), "user/ann"])?;

    // The server is away: what happens meanwhile comes in order, each mail under an id of its own.
    server.running.stop()?;
    let second = asks(&users[1], device.id(), "second")?;
    let decided = json!({ "AccessRequestId": second, "Decision": "Reject" });
    admin.api("Towline.ApproveAccessRequest", &decided)?;
    eventually("an attempt fails", PATIENCE, || {
        last_error(&admin, "oncall").ok().filter(|error| error.contains("no answer from 127"))
    })?;
    let server = Server::start(&lab, server.mode, server.port)?;
    let mails = server.wait_for(3)?;
    let subjects: Vec<&str> = mails[1..].iter().map(|mail| header(mail, "Subject")).collect();
    ensure(
        subjects[0].contains("access is asked for") && subjects[1].contains("rejected"),
        || format!("{subjects:?}"),
    )?;
    let ids: Vec<&str> = mails.iter().map(|mail| header(mail, "Message-ID")).collect();
    ensure(ids[0] != ids[1] && ids[1] != ids[2], || format!("{ids:?}"))?;

    // One that is refused keeps nothing of the others waiting.
    receiver(&admin, "gone", "mailto:nobody@corp.example")?;
    asks(&users[2], device.id(), "third")?;
    server.wait_for(4)?;
    eventually("the refusal is shown", PATIENCE, || {
        last_error(&admin, "gone").ok().filter(|error| error.contains("550 nobody is of this name"))
    })
    .map(drop)
}

#[test]
fn mail_goes_to_a_server_with_the_right_certificate_alone_and_with_the_right_password() -> Outcome {
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let ann = lab.user("ann", Some(crate::access_requests::ASKS))?;
    let server = Server::start(&lab, "tls", 0)?;
    let ca = server.folder.join("ca.pem").display().to_string();
    configure(&mut lab, "wrong-secret", None, &server.section())?;
    let admin = lab.admin();
    receiver(&admin, "oncall", "mailto:oncall@corp.example")?;
    asks(&ann, device.id(), "first")?;
    let fails_by = |words: &str| {
        let found = || last_error(&admin, "oncall").ok().filter(|error| error.contains(words));
        eventually("the failure is shown", PATIENCE, found).map(drop)
    };
    fails_by("certificate")?;
    configure(&mut lab, "wrong-secret", Some(&ca), &server.section())?;
    fails_by("refused AUTH: 535")?;
    ensure(server.mails().is_empty(), || "a mail came without a log-in".into())?;
    configure(&mut lab, PASSWORD, Some(&ca), &server.section())?;
    let mails = server.wait_for(1)?;
    ensure(mails[0]["tls"] == true, || format!("{}", mails[0]))?;
    let log = lab.gateway.logged();
    ensure(!log.contains("wrong-secret") && !log.contains("ge heim"), || {
        "a password is logged".into()
    })?;
    // It may listen before it reads the password.
    let _ = configure(&mut lab, "", Some(&ca), &server.section());
    eventually("a gateway without a password ends", PATIENCE, || {
        (!lab.gateway.process().is_running()).then_some(())
    })
}
