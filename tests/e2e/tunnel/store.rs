//! PostgreSQL behind a forward: a protocol that people use, with a client that opens several
//! connections at once.

use std::path::PathBuf;
use std::process::Command;

use towline_testkit::lab::Lab;
use towline_testkit::process::Running;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

use super::{Forward, PATIENCE};

/// The newest PostgreSQL of this machine.
fn programs() -> Outcome<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map_err(|_| {
            Trouble::new("no PostgreSQL: `cargo xtask test` installs the package postgresql")
        })?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    all.sort();
    all.pop().ok_or_else(|| Trouble::new("no PostgreSQL in /usr/lib/postgresql"))
}

/// A command as somebody who is not root: the server refuses root.
fn as_nobody(program: PathBuf) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    command
}

#[test]
fn a_database_behind_a_forward_loads_and_dumps_a_table() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let bin = programs()?;
    let scratch = tempfile_for_nobody()?;
    let data = scratch.0.join("data");
    let mut init = as_nobody(bin.join("initdb"));
    init.args(["--auth=trust", "--username=ann", "--no-sync", "--encoding=UTF8", "-D"]).arg(&data);
    let out = init.current_dir("/").output()?;
    ensure(out.status.success(), || format!("{}", String::from_utf8_lossy(&out.stderr)))?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut server = as_nobody(bin.join("postgres"));
    server
        .args([
            "-c",
            "fsync=off",
            "-c",
            "listen_addresses=127.0.0.1",
            "-p",
            &port.to_string(),
            "-k",
        ])
        .arg(&scratch.0);
    server.arg("-D").arg(&data).current_dir("/");
    let _server = Running::start("postgres", server, &lab.directory().join("postgres.log"))?;
    eventually("the database listens", PATIENCE, || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    })?;
    let forward = Forward::start(&lab, &device, &format!("0:{port}"))?;
    let psql = |sql: &str| -> Outcome<String> {
        let mut command = Command::new(bin.join("psql"));
        let there = format!(
            "host=127.0.0.1 port={} user=ann dbname=postgres sslmode=disable",
            forward.port
        );
        let out =
            command.args(["-X", "-v", "ON_ERROR_STOP=1", "-At", "-c", sql]).arg(there).output()?;
        ensure(out.status.success(), || {
            format!("{sql}: {}", String::from_utf8_lossy(&out.stderr))
        })?;
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    };
    eventually("it takes queries", PATIENCE, || psql("select 1").ok())?;
    psql("create table t as select n, md5(n::text) as h from generate_series(1, 50000) n")?;
    let rows = psql("copy (select h from t order by n) to stdout")?;
    ensure(rows.lines().count() == 50_000, || format!("{} rows", rows.lines().count()))?;
    std::thread::scope(|scope| {
        let asked: Vec<_> = (1..=6)
            .map(|n| scope.spawn(move || psql(&format!("select h from t where n = {n}"))))
            .collect();
        for (question, line) in asked.into_iter().zip(rows.lines()) {
            let answer = question.join().map_err(|_| Trouble::new("a query failed"))??;
            ensure(answer.trim() == line, || format!("{answer} is not {line}"))?;
        }
        Ok(())
    })
}

/// A folder that goes with the value, and that an account without rights may use.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempfile_for_nobody() -> Outcome<Scratch> {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("towline-postgres-{}", std::process::id()));
    std::fs::create_dir(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
    Ok(Scratch(path))
}
