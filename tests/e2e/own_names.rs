//! A gateway that has joined without the CA's key gets a certificate for names of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use towline_testkit::lab::{DeviceSetup, GatewaySetup, Lab};
use towline_testkit::process::{Running, finish};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::cluster::{PATIENCE, exec};
use crate::joining_gateways::{First, said};

/// Names in the first gateway's certificate: 127.0.0.1 and localhost. The joined one is here.
const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What boto3 sees of the devices, and what the certificate for HTTP says of itself.
const LOOK: &str = "
import boto3, os, socket, ssl, sys
listed = boto3.client('ssm').describe_instance_information()['InstanceInformationList']
print(' '.join(one['InstanceId'] for one in listed))
host, port = sys.argv[1:]
context = ssl.create_default_context(cafile=os.environ['AWS_CA_BUNDLE'])
for name in [host, 'b.fleet.example']:
    with socket.create_connection((host, int(port))) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secured:
            told = secured.getpeercert()
begin, end = (ssl.cert_time_to_seconds(told[key]) for key in ['notBefore', 'notAfter'])
print('days', round((end - begin) / 86400))
";

/// What the audit trail says of requests for certificates.
fn signings(lab: &Lab) -> Outcome<Vec<String>> {
    let text = lab.admin().text(&["audit", "-o", "json", "--limit", "200"])?;
    let answer: serde_json::Value = serde_json::from_str(&text)?;
    let events = answer["Events"].as_array().cloned().unwrap_or_default();
    let ours = events.iter().filter(|event| event["EventName"] == "SignCertificate");
    Ok(ours.map(ToString::to_string).collect())
}

#[test]
fn a_joined_gateway_gets_a_certificate_for_its_own_name_where_the_cas_key_is() -> Outcome {
    let first = First::permitting(&["127.0.0.2", "fleet.example"])?;
    let at_a = first.lab.device()?;
    let address: SocketAddr = TcpListener::bind((OWN, 0))?.local_addr()?;
    let token = first.token(&[])?;
    let (out, home) = first.join(&token, "b", address)?;
    ensure(out.status.success(), || said(&out))?;
    let (a_dir, b_dir) = (first.home().to_string_lossy(), home.to_string_lossy());
    first.done(&["nodes", "approve", "b", "--dir", &*a_dir])?;
    let (out, _) = first.join(&token, "b", address)?;
    ensure(out.status.success() && said(&out).contains("cert request"), || said(&out))?;
    let mut command = Command::new(first.lab.gateway.program());
    command.arg("serve").arg("--dir").arg(&home);
    let mut b = Running::start("gateway b", command, &home.with_extension("log"))?;
    b.wait_for("it listens", 0, PATIENCE, |said| said.contains("listening on").then_some(()))?;
    let admin = first.lab.admin().at(format!("https://{address}"));
    let before = admin.run(&["devices"])?;
    ensure(!before.status.success(), || "b has a certificate for its name already".into())?;

    let file = |name: &str| first.lab.directory().join(name).to_string_lossy().into_owned();
    let (request, signed) = (file("b.request"), file("b.signed"));
    let names = ["--hostname", "127.0.0.2", "--hostname", "b.fleet.example"];
    first
        .done(&[&["cert", "request", "--dir", &*b_dir, "--out", &request], &names[..]].concat())?;
    let sign = |dir: &str| {
        first.gateway(&["cert", "sign", "--dir", dir, "--request", &request, "--out", &signed])
    };
    let out = sign(&b_dir)?;
    let has_words = said(&out).contains("sign where the key of the CA is");
    ensure(!out.status.success() && has_words, || said(&out))?;
    let out = sign(&a_dir)?;
    ensure(out.status.success(), || said(&out))?;
    let installed = first.done(&["cert", "install", "--dir", &*b_dir, "--certificate", &signed])?;
    ensure(!installed.contains("warning"), || installed.clone())?;

    eventually("b shows it without a restart", PATIENCE, || {
        admin.run(&["devices"]).ok()?.status.success().then_some(())
    })?;
    exec(&admin, &at_a, "through-b")?;
    let direct = Some(address.to_string());
    let at_b = first.lab.device_with(&DeviceSetup { direct, ..DeviceSetup::default() })?;
    exec(&first.lab.admin(), &at_b, "through-a")?;
    let mut look = admin.python();
    look.args(["-c", LOOK, &OWN.to_string(), &address.port().to_string()]);
    let text = said(&finish(look, PATIENCE)?);
    let all = text.contains(at_a.id()) && text.contains(at_b.id()) && text.contains("days 397");
    ensure(all, || text.clone())?;
    let lines = signings(&first.lab)?;
    ensure(lines.len() == 2 && lines.iter().all(|line| line.contains("b.fleet.example")), || {
        format!("{lines:?}")
    })
}

#[test]
fn hostile_requests_are_refused_in_words_and_on_record() -> Outcome {
    let mut lab = Lab::with(&GatewaySetup {
        ca_permit: vec!["fleet.example".into()],
        ..GatewaySetup::default()
    })?;
    let (dir, program) = (lab.gateway.directory().to_owned(), lab.gateway.program().to_owned());
    let cert = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("cert").args(words).arg("--dir").arg(&dir);
        finish(command, PATIENCE)
    };
    let foreign = said(&cert(&["request", "--hostname", "bank.example"])?);
    let good = said(&cert(&["request", "--hostname", "b.fleet.example"])?);
    let mut altered = good.clone();
    let middle = good.find('\n').unwrap_or(0) + 100; // in the key
    altered.replace_range(middle..=middle, if &good[middle..=middle] == "A" { "B" } else { "A" });
    let out = lab.directory().join("signed");
    let hostile = [
        ("foreign", foreign.clone(), "may not certify bank.example"),
        ("altered", altered, "anew"),
        ("large", "A".repeat(1 << 20), "expected at most 16384"),
        ("garbage", "\u{1}\u{2}nothing".into(), "expected PEM"),
        ("key", std::fs::read_to_string(dir.join("server.key.pem"))?, "expected PEM"),
    ];
    for (name, text, word) in &hostile {
        let (request, out_file) = (lab.file(name, text)?, out.to_string_lossy());
        let words = ["sign", "--request", &*request.to_string_lossy(), "--out", &*out_file];
        let told = cert(&words)?;
        let is_refused = !told.status.success() && said(&told).contains(word) && !out.exists();
        ensure(is_refused, || format!("{name}: {}", said(&told)))?;
    }
    // A gateway runs, then none does: each is on record.
    lab.gateway.process().stop()?;
    let request = lab.file("good", &good)?.to_string_lossy().into_owned();
    let told = cert(&["sign", "--request", &request])?;
    ensure(said(&told).matches("BEGIN CERTIFICATE").count() == 2, || said(&told))?;
    lab.gateway.start_again()?;
    let lines = signings(&lab)?;
    let refused = lines.iter().filter(|line| line.contains("Refused")).count();
    ensure((lines.len(), refused) == (6, 5), || format!("{lines:?}"))?;
    ensure(lines.iter().all(|line| !line.contains("PRIVATE")), || "a key is on record".into())
}
