//! What must hold after each round, and after the last one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{BACK, Gateways};
use crate::process::{Signal, finish};
use crate::trouble::ensure;
use crate::{Outcome, Trouble, eventually};

/// How often a gateway that exports may have changed just before.
const EXPORTERS: usize = 5;
/// How long it takes until another gateway exports, and more.
const CHANGES: Duration = Duration::from_secs(40);

impl Gateways {
    /// Nobody is quarantined, no gateway has panicked, and exactly these many sessions are open.
    ///
    /// # Errors
    /// What does not hold.
    pub fn nobody_lost_anything(&self, open: usize) -> Outcome {
        let out = self.count("devices where status <> 'active'")?;
        ensure(out == 0, || format!("{out} devices are quarantined or revoked"))?;
        let mut alive = 0;
        // The end of an exec may be on its way.
        let settled = eventually("the open sessions are the shells", BACK, || {
            alive = self.count("sessions where ended_at is null").ok()?;
            (alive == open).then_some(())
        });
        settled.map_err(|error| Trouble::new(format!("{error}: {alive} of {open} are open")))?;
        self.nodes.iter().try_for_each(super::Node::has_not_panicked)
    }

    /// What may explain a failure: the latest ends of sessions, and the ends of the logs.
    #[must_use]
    pub fn explain(&self) -> String {
        let ended = "select string_agg(id || ' ' || details, '; ') from (select * from sessions \
                     where ended_at is not null order by ended_at desc limit 5) latest";
        let ended = self.server.psql("towline", ended).unwrap_or_default();
        let logs = self.nodes.iter().map(super::Node::tail).collect::<String>();
        format!("latest ends of sessions: {ended}\n{logs}")
    }

    /// Each line of the audit trail is in the sink once. Returns their number. The gateway
    /// that exports is restarted: one that is told to stop writes the file of what was not yet in
    /// one.
    ///
    /// # Errors
    /// One is missing or doubled.
    pub fn audit_is_in_the_sink_once(&mut self) -> Outcome<usize> {
        let admin = self.admin_at(self.nodes[0].address);
        admin.api("Towline.CreatePrincipal", &json!({ "PrincipalName": "the-end" }))?;
        let last = "select max(id) from audit where action like '%CreatePrincipal'";
        let last: u64 = self.server.psql("towline", last)?.parse()?;
        let ids =
            format!("select line::json ->> 'eventID' from audit where id <= {last} order by id");
        let ids = self.server.psql("towline", &ids)?;
        let mut in_sink = BTreeMap::new();
        let mut whole = Err(Trouble::new("no gateway exports"));
        for _ in 0..EXPORTERS {
            self.restart_the_exporter()?;
            whole = eventually("the audit trail is in the sink", CHANGES, || {
                in_sink = self.events_of_the_sink().ok()?;
                ids.lines().all(|id| in_sink.contains_key(id)).then_some(())
            });
            if whole.is_ok() {
                break;
            }
        }
        whole.map_err(|error| {
            let missing = ids.lines().filter(|id| !in_sink.contains_key(*id)).count();
            Trouble::new(format!("{error}: {missing} of {} are missing", ids.lines().count()))
        })?;
        let doubled: Vec<_> = in_sink.iter().filter(|(_, times)| **times > 1).collect();
        ensure(doubled.is_empty(), || format!("more than once in the sink: {doubled:?}"))?;
        Ok(ids.lines().count())
    }

    /// Restarts the gateway that was last said to export.
    fn restart_the_exporter(&mut self) -> Outcome {
        let named = "select value from settings where key = 'cluster.chores'";
        let named = self.server.psql("towline", named)?;
        let node = self.nodes.iter_mut().find(|node| node.is_named(&named));
        let node = node.ok_or_else(|| Trouble::new(format!("no gateway exports: {named:?}")))?;
        node.signal(Signal::TERM)?;
        node.wait()?;
        node.start()
    }

    /// Ids of the events of the trail's files, and how often each is there.
    fn events_of_the_sink(&self) -> Outcome<BTreeMap<String, usize>> {
        let mut found = BTreeMap::new();
        for path in files_below(&self.sink().join("AWSLogs"))? {
            let mut unpack = Command::new("gzip");
            unpack.arg("-dc").arg(&path);
            let out = finish(unpack, BACK)?;
            let file: Value = serde_json::from_slice(&out.stdout)?;
            for event in file["Records"].as_array().into_iter().flatten() {
                let id = event["eventID"].as_str().unwrap_or_default().to_owned();
                *found.entry(id).or_default() += 1;
            }
        }
        Ok(found)
    }
}

fn files_below(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".json.gz") {
                files.push(path);
            }
        }
    }
    Ok(files)
}
