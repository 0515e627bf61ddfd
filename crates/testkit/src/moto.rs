//! Moto's server, a separate process: S3 and CloudWatch Logs as far as tests need them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::process::finish;
use crate::{Outcome, Trouble, machine};

const PATIENCE: Duration = Duration::from_secs(90);

/// An access key that it takes, as it takes any.
pub const ACCESS_KEY: &str = "AKIATEST";
/// Its secret.
pub const SECRET: &str = "secret";

/// The server. Dropped: it ends.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    /// Starts it and waits for the line that names its port. The rest of what it says is read and
    /// dropped.
    ///
    /// # Errors
    /// There is no Python with moto, or it does not come up.
    pub fn start() -> Outcome<Self> {
        let missing = "python3 with moto's server is needed: pip install 'moto[s3,server]'";
        let mut child = machine::python()
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Trouble::new(format!("{missing}: {error}")))?;
        let said = child.stderr.take();
        let mut moto = Self { child, endpoint: String::new() };
        let said =
            BufReader::new(said.ok_or_else(|| Trouble::new("moto without a standard error"))?);
        let (tell, named) = sync_channel(1);
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    // Fails when nobody waits any more.
                    let _ =
                        tell.try_send(url.split_whitespace().next().unwrap_or_default().to_owned());
                }
            }
        });
        moto.endpoint = named.recv_timeout(PATIENCE).map_err(|_| Trouble::new(missing))?;
        Ok(moto)
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Runs a few lines of Python with clients `s3` and `logs`; what they print.
    ///
    /// # Errors
    /// They failed: with what Python said.
    pub fn python(&self, lines: &str) -> Outcome<String> {
        let program = format!(
            "import boto3\ns3, logs = (boto3.client(n, endpoint_url='{}') for n in ('s3', \
             'logs'))\n{lines}",
            self.endpoint
        );
        let mut command = machine::python();
        command
            .args(["-c", &program])
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_DEFAULT_REGION", "us-east-1");
        let output = finish(command, PATIENCE)?;
        if !output.status.success() {
            return Err(Trouble::new(String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
