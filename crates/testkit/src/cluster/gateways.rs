//! Gateways that work together on one PostgreSQL server, each with a relay for devices in front of
//! it.
//!
//! # Not here
//! - What happens to them: [`super::faults`]. What must hold: [`super::invariants`].

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::node::Node;
use crate::lab::{Device, DeviceSetup, GatewaySetup, Lab, Operator, Programs};
use crate::ports::free;
use crate::postgres::Postgres;
use crate::process::finish;
use crate::relay::Relay;
use crate::trouble::ensure;
use crate::{Outcome, Trouble, eventually, files};

/// How long a gateway, a device or a database may take to come back.
pub(super) const BACK: Duration = Duration::from_secs(90);

/// Gateways that work together.
pub struct Gateways {
    /// Made the first gateway; its process is [`Gateways::nodes`]' first.
    pub lab: Lab,
    /// The database.
    pub server: Postgres,
    /// What leads gateways to it.
    pub wire: Relay,
    /// The gateways.
    pub nodes: Vec<Node>,
    /// Devices reach each gateway through its relay.
    pub doors: Vec<Relay>,
    /// The gateway that is an older program's until it is started again.
    pub older: Option<usize>,
}

impl Gateways {
    /// Makes and starts so many, whose evidence goes into one folder.
    ///
    /// # Errors
    /// A program is not built, or does not come up.
    pub fn start(number: usize) -> Outcome<Self> {
        Self::beside(number, None)
    }

    /// The same, where the first one is this older program: it has made the store, and the others
    /// bring the schema up to date beside it.
    ///
    /// # Errors
    /// A program is not built, or does not come up.
    pub fn beside(number: usize, older: Option<&Path>) -> Outcome<Self> {
        let server = Postgres::start(&["fsync = off"])?;
        server.psql("postgres", "create database towline")?;
        let wire = Relay::to(SocketAddr::from(([127, 0, 0, 1], server.port())))?;
        let address = free()?;
        let lab = Lab::with(&GatewaySetup {
            listen: address.to_string(),
            store: Some(server.address_behind(wire.address().port(), "towline")),
            program: older.map(Path::to_owned),
            ..GatewaySetup::default()
        })?;
        let (nodes, doors) = (Vec::new(), Vec::new());
        let mut gateways = Self { lab, server, wire, nodes, doors, older: older.map(|_| 0) };
        gateways.lab.gateway.process().stop()?;
        for nth in 0..number {
            let address = if nth == 0 { address } else { free()? };
            let older = older.filter(|_| nth == 0);
            let node = gateways.make(&format!("node{nth}"), address, older)?;
            gateways.doors.push(Relay::to(node.address)?);
            gateways.nodes.push(node);
        }
        Ok(gateways)
    }

    /// A gateway with the keys of the first one, in a directory of its own.
    fn make(&self, name: &str, address: SocketAddr, older: Option<&Path>) -> Outcome<Node> {
        let (made, home) = (self.lab.gateway.directory(), self.lab.directory().join(name));
        std::fs::create_dir(&home)?;
        for entry in std::fs::read_dir(made)? {
            let path = entry?.path();
            if path.is_file() {
                std::fs::copy(&path, home.join(path.file_name().unwrap_or_default()))?;
            }
        }
        let settings = std::fs::read_to_string(home.join("gateway.toml"))?;
        let sink = self.sink();
        let (sink, lines) = (sink.display(), "checkpoint_seconds = 1");
        files::write(
            &home.join("gateway.toml"),
            format!(
                "{settings}\n[evidence]\nnode = \"{name}\"\ndirectory = '{sink}'\n{lines}\n\
                 [cluster]\naddress = \"{address}\"\n"
            ),
        )?;
        let program = Programs::find()?.gateway;
        let mut node = Node::new(older.unwrap_or(program.as_path()), name, &home, address);
        node.start()?;
        node.is_upgraded_to(&program);
        Ok(node)
    }

    /// Where recordings and the audit trail of all gateways are.
    #[must_use]
    pub fn sink(&self) -> std::path::PathBuf {
        self.lab.directory().join("sink")
    }

    /// The administrator at this address.
    #[must_use]
    pub fn admin_at(&self, address: SocketAddr) -> Operator {
        self.lab.admin().at(format!("https://{address}"))
    }

    /// A device whose first gateway is number `first`; then the others in their order.
    ///
    /// # Errors
    /// It does not come.
    pub fn device(&self, first: usize) -> Outcome<Device> {
        let number = self.doors.len();
        let doors = (0..number).map(|nth| &self.doors[(first + nth) % number]);
        let addresses: Vec<String> = doors.map(|door| door.address().to_string()).collect();
        let config = format!("gateway.address = {addresses:?}\ngateway.order = \"listed\"");
        self.lab.device_with(&DeviceSetup { config, ..DeviceSetup::default() })
    }

    /// What a statement answers as a number.
    ///
    /// # Errors
    /// The server's.
    pub fn count(&self, what: &str) -> Outcome<usize> {
        Ok(self.server.psql("towline", &format!("select count(*) from {what}"))?.parse()?)
    }

    /// Starts what does not run, and waits until all gateways have their lease, and all devices are
    /// at one of them.
    ///
    /// # Errors
    /// They are not in time.
    pub fn heal(&mut self, devices: usize) -> Outcome {
        for node in &mut self.nodes {
            node.start_if_ended()?;
        }
        let alive = "nodes where draining = 0 and \
                     expires_at > extract(epoch from clock_timestamp()) * 1000";
        let here = format!("presence where node in (select name from {alive})");
        let number = self.nodes.len();
        let (mut lives, mut come) = (0, 0);
        let whole = eventually("all gateways and devices are back", BACK, || {
            (lives, come) = (self.count(alive).ok()?, self.count(&here).ok()?);
            (lives == number && come == devices).then_some(())
        });
        whole.map_err(|error| {
            let logs = self.nodes.iter().map(Node::tail).collect::<String>();
            Trouble::new(format!(
                "{error}: {lives} of {number} gateways, {come} of {devices} devices\n{logs}"
            ))
        })
    }

    /// `towline verify` of the sink: whether all chains are whole.
    ///
    /// # Errors
    /// What it says.
    pub fn verify(&self) -> Outcome {
        let (sink, key) = (self.sink(), self.lab.gateway.directory().join("evidence.pub"));
        let words = ["verify", &*sink.to_string_lossy(), "--key", &*key.to_string_lossy()];
        let out = finish(self.lab.admin().towline(&words), BACK)?;
        ensure(out.status.success(), || {
            format!("verify: {}", String::from_utf8_lossy(&[out.stdout, out.stderr].concat()))
        })
    }

    /// What boto3 prints for these lines, at this gateway.
    ///
    /// # Errors
    /// It fails.
    pub fn boto3(&self, at: SocketAddr, lines: &str) -> Outcome<Value> {
        let mut command: Command = self.admin_at(at).python();
        command.args(["-c", &format!("import boto3, json\n{lines}")]);
        let out = finish(command, BACK)?;
        ensure(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
        Ok(serde_json::from_slice(&out.stdout)?)
    }
}
