//! The gateway as a process: made, started, killed, started again on the same port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::operator::Keys;
use super::programs::Programs;
use crate::process::Running;
use crate::{Outcome, Trouble, files, ports, process};

/// How long a gateway may take to listen: its debug build makes keys and a store first.
const COMES_UP: Duration = Duration::from_secs(60);

/// What a test wants different from a gateway's defaults.
#[derive(Debug, Clone)]
pub struct GatewaySetup {
    /// Where to listen.
    pub listen: String,
    /// Name in its certificate and in the endpoint.
    pub host: String,
    /// More names in its certificate.
    pub more_hosts: Vec<String>,
    /// What its private CA may certify besides.
    pub ca_permit: Vec<String>,
    /// Environment of the process.
    pub environment: Vec<(String, String)>,
    /// Address of a database for the store, instead of a file.
    pub store: Option<String>,
    /// More lines for `gateway.toml`.
    pub config: String,
    /// Another program than the one under test: an older one.
    pub program: Option<PathBuf>,
}

impl Default for GatewaySetup {
    fn default() -> Self {
        let (listen, host) = ("127.0.0.1:0".into(), "127.0.0.1".into());
        Self {
            listen,
            host,
            more_hosts: Vec::new(),
            ca_permit: Vec::new(),
            environment: Vec::new(),
            store: None,
            config: String::new(),
            program: None,
        }
    }
}

/// A gateway.
#[derive(Debug)]
pub struct Gateway {
    program: PathBuf,
    directory: PathBuf,
    setup: GatewaySetup,
    address: SocketAddr,
    running: Running,
    admin: Keys,
    ca: PathBuf,
    region: String,
    account: String,
}

impl Gateway {
    /// Makes a gateway in `directory` (which must not exist yet) and starts it.
    ///
    /// # Errors
    /// What `init` or `serve` said.
    pub fn start(programs: &Programs, directory: &Path, setup: &GatewaySetup) -> Outcome<Self> {
        let program = setup.program.as_ref().unwrap_or(&programs.gateway);
        let made = init(program, directory, setup)?;
        let text = |name: &str| {
            made[name]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| Trouble::new(format!("init --json gave no {name}")))
        };
        let config = directory.join("gateway.toml");
        let lines = std::fs::read_to_string(&config)?;
        files::write(&config, format!("{lines}\n{}\n", setup.config))?;
        let listen = kept(&setup.listen)?;
        let (running, address) = serve(program, directory, &listen, &setup.environment)?;
        Ok(Self {
            program: program.clone(),
            directory: directory.to_owned(),
            setup: setup.clone(),
            address,
            running,
            admin: Keys::from_json(&made)?,
            ca: PathBuf::from(text("CaFile")?),
            region: text("Region")?,
            account: text("AccountId")?,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL as clients use it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let host = if self.setup.host.contains(':') {
            format!("[{}]", self.setup.host)
        } else {
            self.setup.host.clone()
        };
        format!("https://{host}:{}", self.address.port())
    }

    /// Its certificate authority's file.
    #[must_use]
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// Region in its ARNs and signatures.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Account in its ARNs.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Keys of the administrator that `init` made.
    #[must_use]
    pub fn admin(&self) -> &Keys {
        &self.admin
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// What it has logged since it was made.
    #[must_use]
    pub fn logged(&self) -> String {
        self.running.printed()
    }

    /// A link that signs the administrator in to the console once.
    ///
    /// # Errors
    /// What the gateway said.
    pub fn sign_in_link(&self) -> Outcome<String> {
        let mut command = Command::new(&self.program);
        command.args(["sign-in-link", "--json", "--dir"]).arg(&self.directory);
        let out = process::finish(command, COMES_UP)?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            return Err(Trouble::new(format!("sign-in-link: {said}")));
        }
        let made: Value = serde_json::from_slice(&out.stdout)?;
        let address = made["Address"].as_str().map(str::to_owned);
        address.ok_or_else(|| Trouble::new("sign-in-link gave no Address"))
    }

    /// Kills it at once.
    ///
    /// # Errors
    /// It cannot be reaped.
    pub fn kill(&mut self) -> Outcome {
        self.running.kill()
    }

    /// Starts it again on the same port; it must not run any more.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_again(&mut self) -> Outcome {
        let listen = self.address.to_string();
        let (running, address) =
            serve(&self.program, &self.directory, &listen, &self.setup.environment)?;
        self.running = running;
        self.address = address;
        Ok(())
    }
}

/// The same place with a port that nobody else is given while the gateway is away: it is started
/// again there.
fn kept(listen: &str) -> Outcome<String> {
    match listen.parse::<SocketAddr>() {
        Ok(any) if any.port() == 0 => Ok(ports::free_at(any.ip())?.to_string()),
        _ => Ok(listen.to_owned()),
    }
}

fn init(program: &Path, directory: &Path, setup: &GatewaySetup) -> Outcome<Value> {
    let mut command = Command::new(program);
    command.arg("init").arg("--dir").arg(directory).args(["--hostname", &setup.host, "--json"]);
    for name in &setup.more_hosts {
        command.args(["--hostname", name]);
    }
    for name in &setup.ca_permit {
        command.args(["--ca-permit", name]);
    }
    if let Some(store) = &setup.store {
        command.args(["--store", store]);
    }
    let out = process::finish(command, COMES_UP)?;
    if !out.status.success() {
        return Err(Trouble::new(format!(
            "towline-gateway init: {}",
            String::from_utf8_lossy(&out.stderr)
        )));
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn serve(
    program: &Path,
    directory: &Path,
    listen: &str,
    environment: &[(String, String)],
) -> Outcome<(Running, SocketAddr)> {
    let log = directory.with_extension("log");
    let skip =
        std::fs::metadata(&log).map_or(0, |m| usize::try_from(m.len()).unwrap_or(usize::MAX));
    files::log(&log)?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--dir").arg(directory).args(["--listen", listen]);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut running = Running::start("towline-gateway", command, &log)?;
    let address = running.wait_for("the gateway listens", skip, COMES_UP, |printed| {
        // A whole line only: the port may still be on its way.
        let line =
            printed.split_inclusive('\n').find_map(|line| line.strip_prefix("listening on "))?;
        line.strip_suffix('\n')?.trim().parse().ok()
    })?;
    Ok((running, address))
}
