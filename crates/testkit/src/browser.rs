//! Chromium, driven by a story that node runs.
//!
//! Data flow: a lab -> [`browser`] (node with a home whose browser trusts the gateway) ->
//! [`perform`]: what the story asks for on its standard output (`ask kill`) is done here.
//!
//! # Invariants
//! - Chromium trusts the gateway as a person's would: its certificate database names the CA.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::lab::Lab;
use crate::trouble::ensure;
use crate::{Outcome, Trouble, files, machine, process};

/// How long a program of the preparation may take.
const SOON: Duration = Duration::from_secs(30);

/// Lets pages of this origin use the gateway, which starts again.
///
/// # Errors
/// It does not come up.
pub fn serve_console_at(lab: &mut Lab, origin: &str) -> Outcome {
    lab.gateway.process().stop()?;
    let config = lab.gateway.directory().join("gateway.toml");
    let text = std::fs::read_to_string(&config)?;
    files::write(&config, format!("{text}\n[console]\norigins = [\"{origin}\"]\n"))?;
    lab.gateway.start_again()
}

/// Node with what it needs to drive a Chromium that trusts the gateway; `modules`: its modules.
///
/// # Errors
/// A program is missing.
pub fn browser(lab: &Lab, modules: &Path) -> Outcome<Command> {
    let chromium = process::find("chromium").ok_or_else(|| {
        Trouble::new("chromium is missing: `cargo xtask test` as root installs it on Debian")
    })?;
    let home = lab.directory().join("home");
    trust(&home, lab.gateway.ca())?;
    let mut command = Command::new("node");
    machine::forget(&mut command);
    command.env("HOME", &home).env("NODE_PATH", modules).env("TOWLINE_CHROMIUM", chromium);
    command.env("NODE_EXTRA_CA_CERTS", lab.gateway.ca());
    let keys = lab.admin().environment();
    for (ours, name) in
        [("TOWLINE_KEY", "AWS_ACCESS_KEY_ID"), ("TOWLINE_SECRET", "AWS_SECRET_ACCESS_KEY")]
    {
        let found = keys.iter().find(|(known, _)| *known == name);
        let (_, value) = found.ok_or_else(|| Trouble::new(format!("no {name}")))?;
        command.env(ours, value);
    }
    Ok(command)
}

/// Makes a home whose browser trusts this certificate authority.
fn trust(home: &Path, ca: &Path) -> Outcome {
    let database = home.join(".pki/nssdb");
    std::fs::create_dir_all(&database)?;
    let name = format!("sql:{}", database.display());
    let ca = ca.display().to_string();
    for words in [&["-N", "--empty-password"][..], &["-A", "-t", "C,,", "-n", "towline", "-i", &ca]]
    {
        let mut command = Command::new("certutil");
        command.args(["-d", &name]).args(words);
        let out = process::finish(command, SOON)?;
        ensure(out.status.success(), || {
            format!("certutil {words:?}: {}", String::from_utf8_lossy(&out.stderr))
        })?;
    }
    Ok(())
}

/// Runs a story to its end and does what it asks for.
///
/// # Errors
/// What the story met, or could not be done for it.
pub fn perform(mut command: Command, mut act: impl FnMut(&str) -> Outcome) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn()?;
    let piped = || Trouble::new("node has no pipes");
    let (out, mut reply) =
        (child.stdout.take().ok_or_else(piped)?, child.stdin.take().ok_or_else(piped)?);
    let mut well = false;
    for line in BufReader::new(out).lines() {
        let line = line?;
        well = line == "well";
        if let Some(what) = line.strip_prefix("ask ") {
            act(what)?;
            writeln!(reply, "done {what}")?;
        }
    }
    let status = child.wait()?;
    ensure(well && status.success(), || format!("the story in the browser failed: {status}"))
}
