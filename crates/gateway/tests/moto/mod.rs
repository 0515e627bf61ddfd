//! Moto's server, a separate process: S3 and CloudWatch Logs as far as tests need them.

#![allow(dead_code)] // each test file uses its part

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use towline_testkit::machine;
use towline_testkit::process::finish;

const PATIENCE: Duration = Duration::from_secs(90);

/// The server; ended with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) endpoint: String,
}

impl Server {
    /// Starts it and waits for the line that names its port. The rest of what it says is read and dropped.
    pub(crate) fn start() -> Self {
        let mut child = machine::python()
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 with moto's server is needed for this test");
        let said = BufReader::new(child.stderr.take().unwrap());
        let (tell, named) = sync_channel(1);
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    // Fails when nobody waits any more.
                    let _ = tell.try_send(url.split_whitespace().next().unwrap_or_default().to_owned());
                }
            }
        });
        let mut server = Self { child, endpoint: String::new() };
        server.endpoint =
            named.recv_timeout(PATIENCE).expect("moto's server did not start: pip install 'moto[s3,server]'");
        server
    }

    /// Runs a few lines of Python with clients `s3` and `logs`; what they print.
    pub(crate) fn python(&self, lines: &str) -> String {
        let program = format!(
            "import boto3\ns3, logs = (boto3.client(n, endpoint_url='{}') for n in ('s3', 'logs'))\n{lines}",
            self.endpoint
        );
        let mut command = machine::python();
        command
            .args(["-c", &program])
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_DEFAULT_REGION", "us-east-1");
        let output = finish(command, PATIENCE).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
