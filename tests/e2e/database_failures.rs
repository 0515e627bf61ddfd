//! A gateway whose PostgreSQL server fails: killed, stopped, slow, without room, read-only,
//! replaced by a standby. A running shell loses no byte meanwhile; what needs the store is refused,
//! and works again by itself afterwards.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use towline_testkit::lab::{Device, Lab};
use towline_testkit::postgres::Postgres;
use towline_testkit::process::{Signal, finish};
use towline_testkit::relay::Relay;
use towline_testkit::terminal::Terminal;
use towline_testkit::text::Text;
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually};

use crate::database::{exec, lab_at, lab_on};
use crate::echo::{echo, round_trip};
use crate::evidence_faults::SmallDisk;
use crate::gateway_life::status;
use crate::run_command::{begun, ended, is, lines, mark, send};

const PATIENCE: Duration = Duration::from_secs(60);

/// How long a request may take that the database does not answer: 10 s for the turn to write, 5 s
/// each for a connection and an answer, and as much room for a busy machine.
const REFUSED_WITHIN: Duration = Duration::from_secs(45);

/// A running shell, and what is typed into it.
pub(crate) struct Typist {
    shell: Terminal,
    text: Text,
}

impl Typist {
    pub(crate) fn at(lab: &Lab, device: &Device) -> Outcome<Self> {
        let mut typist = Self { shell: echo(&lab.admin(), device)?, text: Text::new(16) };
        typist.goes_on("before")?;
        Ok(typist)
    }

    pub(crate) fn goes_on(&mut self, when: &str) -> Outcome {
        round_trip(&mut self.shell, &self.text.take_bytes(10_000), when)
    }
}

fn starts(lab: &Lab, device: &Device) -> Outcome<(u16, String)> {
    let body = json!({ "Target": device.id(), "DocumentName": "SSM-SessionManagerRunShell" });
    lab.admin().api_raw("AmazonSSM.StartSession", &body.to_string())
}

/// A new session is refused in words that name the store, and not late. A link ends when the store
/// does not take the device's records: the device is away for a moment now and then.
fn is_refused(lab: &Lab, device: &Device) -> Outcome {
    let (status, said, took) = eventually("a device that is there", PATIENCE, || {
        let begun = Instant::now();
        let (status, said) = starts(lab, device).ok()?;
        (!said.contains("TargetNotConnected")).then(|| (status, said, begun.elapsed()))
    })?;
    ensure(status == 500 && said.contains("the store"), || {
        format!("HTTP {status}: {said}: {}", lab.gateway.logged())
    })?;
    ensure(took < REFUSED_WITHIN, || format!("refused after {took:?}"))
}

/// Whether `/readyz` says that new work is taken.
fn is_ready(lab: &Lab) -> bool {
    status(lab, "/readyz") == Some(200)
}

fn becomes(lab: &Lab, ready: bool) -> Outcome {
    eventually(&format!("readyz says {ready}"), PATIENCE, || (is_ready(lab) == ready).then_some(()))
}

pub(crate) fn opens_again(lab: &Lab, device: &Device) -> Outcome {
    eventually("sessions open again", PATIENCE, || exec(lab, device, "again"))?;
    becomes(lab, true)
}

#[test]
fn a_shell_goes_on_while_the_database_is_away_and_a_command_ends_once() -> Outcome {
    let mut server = Postgres::start(&["fsync = off"])?;
    let lab = lab_on(&server)?;
    let device = lab.device()?;
    let mut typist = Typist::at(&lab, &device)?;
    let ran = mark(&lab, "ran");
    let script = format!("echo x >> {}; sleep 3; echo done", ran.display());
    let command = send(&lab, &device, &script, 60)?;
    begun(&ran)?;

    server.kill()?;
    typist.goes_on("without a database")?;
    is_refused(&lab, &device)?;
    let read = lab.admin().api_raw("AmazonSSM.DescribeSessions", r#"{"State":"Active"}"#)?;
    ensure(read.0 == 500, || format!("a list without a database: {read:?}"))?;
    becomes(&lab, false)?;
    pause(Duration::from_secs(3)); // the script ends while nobody can store that
    typist.goes_on("still without a database")?;
    server.start_again()?;
    opens_again(&lab, &device)?;
    is(&ended(&lab, &device, &command)?, "Success")?;
    ensure(lines(&ran) == 1, || format!("the script ran {} times", lines(&ran)))?;
    typist.goes_on("at the end")?;
    eventually("the audit trail has the refused request", PATIENCE, || {
        let trail = lab.admin().text(&["audit", "-o", "json", "--limit", "200"]).ok()?;
        trail.contains("InternalServerError").then_some(())
    })
}

#[test]
fn a_shell_goes_on_while_the_database_stands_still() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    let lab = lab_on(&server)?;
    let device = lab.device()?;
    let mut typist = Typist::at(&lab, &device)?;
    server.signal_all(Signal::STOP)?;
    is_refused(&lab, &device)?;
    becomes(&lab, false)?;
    typist.goes_on("while the database stands still")?;
    server.signal_all(Signal::CONT)?;
    opens_again(&lab, &device)?;
    typist.goes_on("at the end")
}

#[test]
fn a_shell_goes_on_while_the_database_is_slow() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    server.psql("postgres", "create database towline")?;
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port())))?;
    let lab = lab_at(&server.address_behind(relay.address().port(), "towline"))?;
    let device = lab.device()?;
    let mut typist = Typist::at(&lab, &device)?;

    relay.delay(Duration::from_millis(150)); // slow, and still of use
    ensure(exec(&lab, &device, "slowly").is_some(), || "no session at 0.3 s an answer".into())?;
    relay.delay(Duration::from_secs(5));
    is_refused(&lab, &device)?;
    becomes(&lab, false)?;
    typist.goes_on("while each answer takes 10 s")?;
    relay.delay(Duration::ZERO);
    opens_again(&lab, &device)?;
    typist.goes_on("at the end")
}

#[test]
fn a_shell_goes_on_while_the_database_is_read_only_and_lists_are_answered() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    let lab = lab_on(&server)?;
    let device = lab.device()?;
    let mut typist = Typist::at(&lab, &device)?;
    let read_only = |on: &str| -> Outcome {
        server
            .psql("postgres", &format!("alter system set default_transaction_read_only = {on}"))?;
        server.psql("postgres", "select pg_reload_conf()")?;
        eventually("the setting counts", PATIENCE, || {
            let now = server.psql("postgres", "show default_transaction_read_only").ok()?;
            (now == on).then_some(())
        })
    };
    read_only("on")?;
    eventually("new sessions are refused", PATIENCE, || is_refused(&lab, &device).ok())?;
    let read = lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    ensure(read["Sessions"].as_array().is_some_and(|all| all.len() == 1), || read.to_string())?;
    becomes(&lab, false)?;
    typist.goes_on("while nothing can be written")?;
    read_only("off")?;
    opens_again(&lab, &device)?;
    typist.goes_on("at the end")
}

#[test]
fn a_shell_goes_on_while_the_database_has_no_room() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    let small = server.folder("small")?;
    let _disk = SmallDisk::mount(&small, "size=40m,mode=0777,uid=65534")?;
    let place = small.display();
    server.psql("postgres", &format!("create tablespace small location '{place}'"))?;
    server.psql("postgres", "create database towline tablespace small")?;
    let lab = lab_at(&server.address("towline"))?;
    let device = lab.device()?;
    let mut typist = Typist::at(&lab, &device)?;
    server.psql("towline", "create table filler (t text)")?;
    let fill = |rows: u32| {
        server.psql(
            "towline",
            &format!("insert into filler select repeat('x', 7000) from generate_series(1, {rows})"),
        )
    };
    for rows in [500, 100, 20, 5, 1] {
        while fill(rows).is_ok() {}
    }
    // Pages that are there still have room for some rows.
    let more = json!({ "IamRole": "service-role/SSM", "RegistrationLimit": 1 });
    let refused = eventually("a write is refused", PATIENCE, || {
        lab.admin().api("AmazonSSM.CreateActivation", &more).err()
    })?;
    ensure(refused.to_string().contains("the store"), || refused.to_string())?;
    typist.goes_on("while there is no room")?;
    let read = lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    ensure(read["Sessions"].as_array().is_some_and(|all| !all.is_empty()), || read.to_string())?;
    server.psql("towline", "drop table filler")?;
    opens_again(&lab, &device)?;
    typist.goes_on("at the end")
}

#[test]
fn a_shell_goes_on_when_a_standby_takes_the_place_of_the_database() -> Outcome {
    let mut server = Postgres::start(&["fsync = off"])?;
    server.psql("postgres", "create database towline")?;
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port())))?;
    let lab = lab_at(&server.address_behind(relay.address().port(), "towline"))?;
    let device = lab.device()?;
    let mut standby = server.standby()?;
    let mut typist = Typist::at(&lab, &device)?;

    server.kill()?;
    relay.retarget(SocketAddr::from(([127, 0, 0, 1], standby.port())));
    relay.cut();
    typist.goes_on("without a primary")?;
    is_refused(&lab, &device)?; // a standby takes no writes
    standby.promote()?;
    opens_again(&lab, &device)?;
    typist.goes_on("on the former standby")?;
    let read = lab.admin().api("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))?;
    ensure(read["Sessions"].as_array().is_some_and(|all| !all.is_empty()), || read.to_string())?;
    standby.kill()
}

/// A certificate authority in files, and a certificate of it for `localhost`.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(folder: PathBuf) -> Outcome<Self> {
        std::fs::create_dir(&folder)?;
        let script = "set -e
            openssl ecparam -name prime256v1 -genkey -noout -out ca.key
            openssl req -x509 -new -key ca.key -subj '/CN=database CA' -days 2 -out ca.pem
            openssl ecparam -name prime256v1 -genkey -noout -out server.key
            openssl req -new -key server.key -subj /CN=localhost -out server.csr
            printf 'subjectAltName=DNS:localhost' > names
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
              -extfile names -out server.pem";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(&folder);
        let out = finish(shell, PATIENCE)?;
        ensure(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
        Ok(Self { folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// `towline-gateway init` with this database: what it said when it refused.
fn init(lab: &Lab, name: &str, store: &str, password: &Path) -> Outcome<Option<String>> {
    let mut command = Command::new(lab.gateway.program());
    command.args(["init", "--hostname", "127.0.0.1", "--store", store, "--dir"]);
    command.arg(lab.directory().join(name)).arg("--store-password-file").arg(password);
    let out = finish(command, PATIENCE)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    Ok((!out.status.success()).then_some(said))
}

#[test]
fn a_database_proves_itself_by_its_certificate_and_the_gateway_by_its_password() -> Outcome {
    let lab = Lab::start()?;
    let authority = |name: &str| Authority::new(lab.directory().join(name));
    let (ours, other) = (authority("ours")?, authority("other")?);
    let server = Postgres::start(&["fsync = off", "password_encryption = 'scram-sha-256'"])?;
    server.psql("postgres", "alter user ann password 'very secret'")?;
    server.psql("postgres", "create database towline")?;
    server.demand_tls(&ours.file("server.pem"), &ours.file("server.key"))?;
    let (right, wrong) = (lab.file("password", "very secret\n")?, lab.file("wrong", "guessed")?);
    let at = |host: &str, root: &Authority| {
        let (user, port, root) = (Postgres::USER, server.port(), root.file("ca.pem"));
        format!(
            "postgres://{user}@{host}:{port}/towline?sslmode=verify-full&sslrootcert={}",
            root.display()
        )
    };
    for (name, store, password, word) in [
        ("other-ca", at("localhost", &other), &right, "certificate"),
        ("other-name", at("127.0.0.1", &ours), &right, "certificate"),
        ("other-password", at("localhost", &ours), &wrong, "password"),
    ] {
        let said = init(&lab, name, &store, password)?;
        let said = said.ok_or_else(|| Trouble::new(format!("{name} was taken")))?;
        ensure(said.to_lowercase().contains(word), || format!("{name}: {said}"))?;
        ensure(!said.contains("secret") && !said.contains("guessed"), || {
            format!("{name}: {said}")
        })?;
    }
    let said = init(&lab, "right", &at("localhost", &ours), &right)?;
    ensure(said.is_none(), || format!("{said:?}"))?;
    let config = std::fs::read_to_string(lab.directory().join("right/gateway.toml"))?;
    ensure(!config.contains("secret") && config.contains("verify-full"), || config.clone())
}
