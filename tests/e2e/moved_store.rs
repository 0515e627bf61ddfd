//! The store goes from one engine to the other: moved from its file to a server, backed up there,
//! and restored on a server or in a file.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use towline_testkit::lab::{Device, Lab};
use towline_testkit::postgres::Postgres;
use towline_testkit::process::finish;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::database::exec;
use crate::run_command::{ended, is, look, send};

const PATIENCE: Duration = Duration::from_secs(120);

fn tool(lab: &Lab, words: &[&str], paths: &[(&str, &Path)]) -> Outcome<Output> {
    let mut command = Command::new(&lab.programs.gateway);
    command.args(words);
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    finish(command, PATIENCE)
}

/// Fails with words that hold `why`.
fn is_refused(out: &Output, why: &str) -> Outcome {
    let said = String::from_utf8_lossy(&out.stderr);
    ensure(!out.status.success() && said.contains(why), || format!("{out:?}"))
}

/// A device that was there before works without being enrolled again.
fn works(lab: &Lab, device: &Device, word: &str) -> Outcome {
    device.wait_online(&lab.admin())?;
    ensure(exec(lab, device, word).is_some(), || format!("no session: {word}"))
}

/// The gateway is lost, its keys were kept; another one is made of the backup.
fn lost_and_restored(lab: &mut Lab, from: &Path, name: &str, store: &str) -> Outcome {
    lab.gateway.kill()?;
    let kept = lab.gateway.directory().with_extension(name);
    std::fs::rename(lab.gateway.directory(), &kept)?;
    let words = ["restore", "--store", store];
    let paths = [("--from", from), ("--dir", lab.gateway.directory()), ("--keys", &kept)];
    let restored = tool(lab, &words, &paths)?;
    ensure(restored.status.success(), || format!("{restored:?}"))?;
    lab.gateway.start_again()
}

#[test]
fn a_store_moves_to_a_server_is_backed_up_there_and_restored_there_and_in_a_file() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    for database in ["moved", "restored"] {
        server.psql("postgres", &format!("create database {database}"))?;
    }
    let mut lab = Lab::start()?;
    let device = lab.device()?;
    let bob = lab.user("bob", None)?;
    let ran = send(&lab, &device, "echo before", 60)?;
    is(&ended(&lab, &device, &ran)?, "Success")?;
    let home = lab.gateway.directory().to_owned();
    let moving = ["migrate-store", "--to", &server.address("moved")];
    is_refused(&tool(&lab, &moving, &[("--dir", &home)])?, "stop it")?;

    lab.gateway.process().stop()?;
    let moved = tool(&lab, &moving, &[("--dir", &home)])?;
    let said = String::from_utf8_lossy(&moved.stdout).into_owned();
    ensure(moved.status.success() && said.contains("all are the same"), || format!("{moved:?}"))?;
    ensure(!home.join("towline.db").exists(), || "the file is still there".into())?;
    is_refused(&tool(&lab, &moving, &[("--dir", &home)])?, "on a server already")?;
    lab.gateway.start_again()?;
    works(&lab, &device, "moved")?;
    ensure(bob.text(&["whoami"]).is_ok(), || "bob is not there".into())?;
    is(&look(&lab, &device, &ran)?, "Success")?;

    let backup = lab.directory().join("gateway.backup");
    let made = tool(&lab, &["backup"], &[("--dir", &home), ("--out", &backup)])?;
    ensure(made.status.success(), || format!("{made:?}"))?;
    let late = lab.user("late", None)?;
    lost_and_restored(&mut lab, &backup, "first", &server.address("restored"))?;
    works(&lab, &device, "restored")?;
    ensure(bob.text(&["whoami"]).is_ok(), || "bob is not there".into())?;
    ensure(late.text(&["whoami"]).is_err(), || "late was made after the backup".into())?;
    let users = server.psql("restored", "select count(*) from principals")?;
    ensure(users == "2", || format!("{users} users"))?;

    lost_and_restored(&mut lab, &backup, "second", "file")?;
    ensure(home.join("towline.db").exists(), || "there is no file".into())?;
    works(&lab, &device, "in a file")?;
    eventually("the audit trail has both restores' event", PATIENCE, || {
        let trail = lab.admin().text(&["-o", "json", "audit", "--limit", "200"]).ok()?;
        trail.contains("GatewayRestored").then_some(())
    })
}

#[test]
fn a_store_is_not_moved_into_a_database_that_holds_something() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    server.psql("postgres", "create database other")?;
    server.psql("other", "create table devices (id text)")?;
    let mut lab = Lab::start()?;
    lab.gateway.process().stop()?;
    let home = lab.gateway.directory().to_owned();
    let moving = ["migrate-store", "--to", &server.address("other")];
    is_refused(&tool(&lab, &moving, &[("--dir", &home)])?, "something else")?;
    lab.gateway.start_again()?;
    ensure(lab.admin().text(&["whoami"]).is_ok(), || "the file was touched".into())
}
