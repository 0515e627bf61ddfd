//! A further gateway joins with a token, waits for approval, works, and is removed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::postgres::Postgres;
use towline_testkit::process::{Running, finish};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, files, ports};

use crate::cluster::{PATIENCE, exec};

/// One gateway with the section `[cluster]`, alone so far.
pub(crate) struct First {
    pub(crate) lab: Lab,
    server: Postgres,
}

impl First {
    fn start() -> Outcome<Self> {
        Self::permitting(&[])
    }

    /// One whose CA may certify this, too.
    pub(crate) fn permitting(more: &[&str]) -> Outcome<Self> {
        let server = Postgres::start(&["fsync = off"])?;
        server.psql("postgres", "create database towline")?;
        let address = ports::free()?;
        let lab = Lab::with(&GatewaySetup {
            listen: address.to_string(),
            store: Some(server.address("towline")),
            ca_permit: more.iter().map(|name| (*name).to_owned()).collect(),
            config: format!("[evidence]\nnode = \"a\"\n[cluster]\naddress = \"{address}\"\n"),
            ..GatewaySetup::default()
        })?;
        Ok(Self { lab, server })
    }

    pub(crate) fn home(&self) -> &Path {
        self.lab.gateway.directory()
    }

    /// `towline-gateway WORDS…`.
    pub(crate) fn gateway(&self, words: &[&str]) -> Outcome<Output> {
        let mut command = Command::new(self.lab.gateway.program());
        command.args(words);
        finish(command, PATIENCE)
    }

    pub(crate) fn done(&self, words: &[&str]) -> Outcome<String> {
        let out = self.gateway(words)?;
        ensure(out.status.success(), || format!("{words:?}: {}", said(&out)))?;
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    pub(crate) fn token(&self, more: &[&str]) -> Outcome<String> {
        let home = self.home().to_string_lossy();
        self.done(&[&["join-token", "--dir", &*home], more].concat())
    }

    /// `join` as node `name` into a folder of this name.
    pub(crate) fn join(
        &self,
        token: &str,
        name: &str,
        address: SocketAddr,
    ) -> Outcome<(Output, PathBuf)> {
        let home = self.lab.directory().join(name);
        let file = self.lab.file(&format!("{name}.token"), token)?;
        let (dir, file, at) = (home.to_string_lossy(), file.to_string_lossy(), address.to_string());
        let words = ["join", "--dir", &*dir, "--token-file", &*file, "--node", name];
        let own = ["--address", &*at, "--listen", &*at, "--no-wait"];
        let out = self.gateway(&[&words[..], &own].concat())?;
        Ok((out, home))
    }

    fn is_refused(&self, token: &str, name: &str, why: &str) -> Outcome {
        let (out, home) = self.join(token, name, ports::free()?)?;
        let text = said(&out);
        ensure(!out.status.success() && text.contains(why), || format!("{name}: {text}"))?;
        let has_keys = home.join("store.key").exists() || home.join("gateway.toml").exists();
        ensure(!has_keys, || format!("{name} was refused and has keys"))
    }

    fn state(&self, name: &str) -> Outcome<String> {
        let home = self.home().to_string_lossy();
        let table = self.done(&["nodes", "--dir", &*home])?;
        let line = table.lines().find(|line| line.starts_with(&format!("{name} ")));
        let state = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(state.unwrap_or_default().to_owned())
    }
}

pub(crate) fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&*out.stdout, &*out.stderr].concat()).into_owned()
}

#[test]
fn a_gateway_joins_with_a_token_waits_for_approval_works_and_is_removed() -> Outcome {
    let first = First::start()?;
    let device = first.lab.device()?;
    let token = first.token(&[])?;
    let address = ports::free()?;
    let (out, home) = first.join(&token, "b", address)?;
    ensure(out.status.success(), || said(&out))?;
    ensure(first.state("b")? == "waits", || format!("b {:?}", first.state("b")))?;
    // It has nothing that it could serve with until somebody approves it.
    let held: Vec<_> = std::fs::read_dir(&home)?.flatten().map(|entry| entry.file_name()).collect();
    ensure(held == ["node.key"], || format!("before its approval b holds {held:?}"))?;
    let dir = first.home().to_string_lossy().into_owned();
    first.done(&["nodes", "approve", "b", "--dir", &dir])?;
    let (out, _) = first.join(&token, "b", address)?;
    ensure(out.status.success(), || said(&out))?;
    ensure(!home.join("ca.key.pem").exists() && home.join("authority.key").exists(), || {
        "the CA's key was given, or the authority's was not".into()
    })?;
    let own = std::fs::read(home.join("node.key"))?;
    ensure(own != std::fs::read(first.home().join("node.key"))?, || "the node's key".into())?;
    let mut command = Command::new(first.lab.gateway.program());
    command.arg("serve").arg("--dir").arg(&home);
    let mut b = Running::start("gateway b", command, &home.with_extension("log"))?;
    b.wait_for("it listens", 0, PATIENCE, |said| said.contains("listening on").then_some(()))?;
    let at_b = first.lab.admin().at(format!("https://{address}"));
    exec(&at_b, &device, "through-b")?;

    first.done(&["nodes", "remove", "b", "--dir", &dir])?;
    let ended = b.wait(PATIENCE)?;
    ensure(!ended.success(), || "b ended as if nothing was wrong".into())?;
    ensure(first.state("b")? == "removed", || format!("b {:?}", first.state("b")))?;
    let again = first.gateway(&["serve", "--dir", &home.to_string_lossy()])?;
    ensure(!again.status.success() && said(&again).contains("removed nodes"), || said(&again))?;
    exec(&first.lab.admin(), &device, "at-a")?;
    for event in ["CreateJoinToken", "JoinGateway", "ApproveGateway", "RemoveGateway"] {
        eventually(&format!("{event} is on record"), PATIENCE, || {
            let trail = first.lab.admin().text(&["audit", "-o", "json"]).ok()?;
            trail.contains(event).then_some(())
        })?;
    }
    let trail = first.lab.admin().text(&["audit", "-o", "json"])?;
    let secret = token.trim().split('.').nth(1).unwrap_or("?").to_owned();
    ensure(!trail.contains(&secret), || "the token stands in the audit trail".into())
}

#[test]
fn a_token_is_taken_once_in_its_time_and_by_the_gateway_that_made_it() -> Outcome {
    let first = First::start()?;
    let token = first.token(&["--with-ca-key"])?;
    // A gateway with another key sits at the address.
    let parts: Vec<&str> = token.trim().split('.').collect();
    let other_key = format!("{}.{}.{}.{}", parts[0], parts[1], parts[1], parts[3]);
    first.is_refused(&other_key, "wrong-key", "was not reached")?;
    let other_secret = format!("{}.{}.{}.{}", parts[0], parts[2], parts[2], parts[3]);
    first.is_refused(&other_secret, "wrong-secret", "was used, or its 15 minutes are over")?;

    let address = ports::free()?;
    let (out, home) = first.join(&token, "b", address)?;
    ensure(out.status.success(), || said(&out))?;
    first.is_refused(&token, "twice", "was used, or its 15 minutes are over")?;

    let late = first.token(&[])?;
    first.server.psql("towline", "update invitations set ends_at = 1 where used_by = ''")?;
    first.is_refused(&late, "late", "was used, or its 15 minutes are over")?;
    // Another key under the name that waits; then the one that waits, once it is approved.
    let taken = first.token(&[])?;
    std::fs::rename(&home, home.with_extension("own"))?;
    first.is_refused(&taken, "b", "a node has this name")?;
    std::fs::remove_dir_all(&home)?;
    std::fs::rename(home.with_extension("own"), &home)?;
    let dir = first.home().to_string_lossy().into_owned();
    first.done(&["nodes", "approve", "b", "--dir", &dir])?;
    let (out, _) = first.join(&token, "b", address)?;
    ensure(out.status.success() && home.join("ca.key.pem").exists(), || said(&out))?;
    let kept = first.server.psql("towline", "select string_agg(digest, ' ') from invitations")?;
    ensure(!kept.contains(parts[1]), || "the store has a token".into())?;
    let log = files::tail(&first.lab.directory().join("gateway.log"), 200);
    ensure(!log.contains(parts[1]), || "the log has a token".into())
}
