//! A PostgreSQL server in a scratch folder, as somebody who is not root: the server refuses root.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Running, Signal, finish, send};
use crate::{Outcome, Trouble, eventually, trouble::ensure};

/// How long the server may take to begin, and a statement to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server. Dropped: killed, and its folder removed.
#[derive(Debug)]
pub struct Postgres {
    running: Running,
    folder: tempfile::TempDir,
    port: u16,
    bin: PathBuf,
}

impl Postgres {
    /// Name of the user who owns all databases.
    pub const USER: &str = "ann";

    /// Makes a server and starts it, with more settings such as `fsync=off`.
    ///
    /// # Errors
    /// No PostgreSQL, or the server does not start.
    pub fn start(settings: &[&str]) -> Outcome<Self> {
        let bin = programs()?;
        let folder = home()?;
        let mut init = as_nobody(&bin.join("initdb"));
        init.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]);
        init.arg(format!("--username={}", Self::USER)).arg("-D").arg(folder.path().join("data"));
        init.current_dir("/");
        let out = finish(init, PATIENCE)?;
        ensure(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
        let settings_file = folder.path().join("data/postgresql.auto.conf");
        let mut lines = String::new();
        for setting in settings {
            lines.push_str(&format!("{setting}\n"));
        }
        crate::files::write(&settings_file, lines)?;
        Self::serving(bin, folder)
    }

    /// Starts the server of a folder that has its data.
    fn serving(bin: PathBuf, folder: tempfile::TempDir) -> Outcome<Self> {
        let port = crate::ports::free()?.port();
        let running = serve(&bin, folder.path(), port)?;
        let server = Self { running, folder, port, bin };
        server.waits_until_ready()?;
        Ok(server)
    }

    fn waits_until_ready(&self) -> Outcome {
        let data = self.folder.path().join("data");
        eventually("the database takes queries", PATIENCE, || {
            let served = self.psql("postgres", "show data_directory").ok()?;
            (Path::new(&served) == data).then_some(()) // not a server of somebody else
        })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        self.address_behind(self.port, database)
    }

    /// The same behind a relay on another port.
    #[must_use]
    pub fn address_behind(&self, port: u16, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{port}/{database}", Self::USER)
    }

    /// A command of its client.
    #[must_use]
    pub fn client(&self, program: &str) -> Command {
        Command::new(self.bin.join(program))
    }

    /// What a statement answers: rows as lines.
    ///
    /// # Errors
    /// What the server said.
    pub fn psql(&self, database: &str, sql: &str) -> Outcome<String> {
        let mut command = self.client("psql");
        command.args(["-X", "-v", "ON_ERROR_STOP=1", "-At", "-c", sql]);
        command.arg(self.address(database));
        let out = finish(command, PATIENCE)?;
        ensure(out.status.success(), || {
            format!("{sql}: {}", String::from_utf8_lossy(&out.stderr))
        })?;
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }

    /// From now on the clock of a database can be set ([`Postgres::set_clock`]) as its clients see
    /// it: a function of its own stands before the server's. For connections that are made later.
    ///
    /// # Errors
    /// What the server said.
    pub fn lets_clock_be_set(&self, database: &str) -> Outcome {
        let sql = format!(
            "create schema clock; create table clock.step (by interval); \
             insert into clock.step values ('0'); \
             create function clock.clock_timestamp() returns timestamptz language sql volatile as \
             'select pg_catalog.clock_timestamp() + (select by from clock.step)'; \
             alter database {database} set search_path = public, clock, pg_catalog"
        );
        self.psql(database, &sql).map(drop)
    }

    /// Sets the clock of a database by so much before or behind the server's.
    ///
    /// # Errors
    /// What the server said.
    pub fn set_clock(&self, database: &str, by: &str) -> Outcome {
        self.psql(database, &format!("update clock.step set by = '{by}'")).map(drop)
    }

    /// Makes a folder that the server may use.
    ///
    /// # Errors
    /// It is there already.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))?;
        Ok(folder)
    }

    /// Its process: the one that accepts connections.
    pub const fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Starts it again on the same port; it must not run any more.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self) -> Outcome {
        self.running = serve(&self.bin, self.folder.path(), self.port)?;
        self.waits_until_ready()
    }

    /// Kills all its processes at once.
    ///
    /// # Errors
    /// It cannot be reaped.
    pub fn kill(&mut self) -> Outcome {
        let others = children(self.running.pid())?;
        self.running.kill()?;
        for pid in others {
            let _ = send(pid, Signal::KILL); // it may have ended with the first one
        }
        Ok(())
    }

    /// Sends a signal to all its processes: those that serve connections, too.
    ///
    /// # Errors
    /// One of them cannot be signalled.
    pub fn signal_all(&self, signal: Signal) -> Outcome {
        let first = self.running.pid();
        for pid in children(first)?.into_iter().chain([first]) {
            send(pid, signal)?;
        }
        Ok(())
    }

    /// A standby of this server: it follows, answers queries, and takes no writes. Each commit
    /// waits for it.
    ///
    /// # Errors
    /// The copy cannot be made, or does not follow.
    pub fn standby(&self) -> Outcome<Self> {
        let standby = self.lagging_standby()?;
        // From now on a commit is there, too, before it is confirmed.
        self.psql("postgres", "alter system set synchronous_standby_names = '*'")?;
        self.psql("postgres", "alter system set synchronous_commit = 'remote_apply'")?;
        self.psql("postgres", "select pg_reload_conf()")?;
        Ok(standby)
    }

    /// The same, and nobody waits for it.
    ///
    /// # Errors
    /// It cannot be copied, or does not follow.
    pub fn lagging_standby(&self) -> Outcome<Self> {
        let folder = home()?;
        let mut copy = as_nobody(&self.bin.join("pg_basebackup"));
        copy.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", Self::USER]);
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"]);
        copy.arg(folder.path().join("data")).current_dir("/");
        let out = finish(copy, PATIENCE)?;
        ensure(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
        let standby = Self::serving(self.bin.clone(), folder)?;
        eventually("the standby follows", PATIENCE, || {
            let count = "select count(*) from pg_stat_replication where state = 'streaming'";
            (self.psql("postgres", count).ok()? == "1").then_some(())
        })?;
        Ok(standby)
    }

    /// Waits until a standby has all that this server has.
    ///
    /// # Errors
    /// It has not in time.
    pub fn is_followed(&self) -> Outcome {
        let same = "select pg_current_wal_lsn() = replay_lsn from pg_stat_replication";
        eventually("the standby has all", PATIENCE, || {
            (self.psql("postgres", same).ok()? == "t").then_some(())
        })
    }

    /// As a standby: it gets nothing more.
    ///
    /// # Errors
    /// It goes on.
    pub fn stop_following(&self) -> Outcome {
        self.psql("postgres", "alter system set primary_conninfo = ''")?;
        self.psql("postgres", "select pg_reload_conf()")?;
        let receivers = "select count(*) from pg_stat_wal_receiver";
        eventually("the standby gets nothing more", PATIENCE, || {
            (self.psql("postgres", receivers).ok()? == "0").then_some(())
        })
    }

    /// Makes a standby the server that takes writes.
    ///
    /// # Errors
    /// It refuses.
    pub fn promote(&self) -> Outcome {
        let alone = "alter system set synchronous_standby_names = ''";
        self.psql("postgres", "select pg_promote()")?;
        self.psql("postgres", alone)?;
        self.psql("postgres", "select pg_reload_conf()").map(drop)
    }

    /// From now on takes connections with TLS and a password alone.
    ///
    /// # Errors
    /// The files cannot be copied, or the server refuses them.
    pub fn demand_tls(&self, certificate: &Path, key: &Path) -> Outcome {
        let data = self.folder.path().join("data");
        std::fs::copy(key, data.join("server.key"))?;
        let owner = std::fs::metadata(&data)?;
        chown(data.join("server.key"), Some(owner.uid()), Some(owner.gid()))?;
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(data.join("server.key"), private)?;
        std::fs::copy(certificate, data.join("server.crt"))?;
        self.psql("postgres", "alter system set ssl = on")?;
        self.psql("postgres", "select pg_reload_conf()")?;
        eventually("the server has TLS", PATIENCE, || {
            (self.psql("postgres", "show ssl").ok()? == "on").then_some(())
        })
        .map_err(|error| Trouble::new(format!("{error}: {}", self.running.printed())))?;
        let rule = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
        crate::files::write(&data.join("pg_hba.conf"), rule)?;
        self.psql("postgres", "select pg_reload_conf()")?;
        eventually("the server demands a password", PATIENCE, || {
            self.psql("postgres", "select 1").is_err().then_some(())
        })
    }
}

/// A folder for a server.
fn home() -> Outcome<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("towline-postgres-").tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
    Ok(folder)
}

/// The processes that a process has begun.
fn children(parent: u32) -> Outcome<Vec<u32>> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path)?;
    Ok(text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

fn serve(bin: &Path, folder: &Path, port: u16) -> Outcome<Running> {
    let mut server = as_nobody(&bin.join("postgres"));
    server.args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string(), "-k"]).arg(folder);
    server.arg("-D").arg(folder.join("data")).current_dir("/");
    Running::start_group("postgres", server, &folder.join("postgres.log"))
}

/// The newest PostgreSQL of this machine.
fn programs() -> Outcome<PathBuf> {
    let none = || Trouble::new("no PostgreSQL: `cargo xtask test` installs the package postgresql");
    let mut all: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map_err(|_| none())?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    all.sort();
    all.pop().ok_or_else(none)
}

/// A command as somebody who is not root.
fn as_nobody(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    command
}
