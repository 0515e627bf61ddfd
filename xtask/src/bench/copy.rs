//! Files for `cargo xtask bench tunnel`: scp through a jump host, `towline cp`, and scp through
//! `towline proxy`.
//!
//! All three put a file on the same device and get one from it, as people type it: what is measured
//! includes handshake, session start and end. The far ones have a delay line before the
//! jump host, or before the gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use towline_testkit::process::finish;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, files};

use super::delay;
use super::rig::Rig;

/// How long one copy may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The three ways, with this round trip.
pub(super) struct Ways<'a> {
    rig: &'a Rig,
    config: std::path::PathBuf,
    gateway: SocketAddr,
}

impl<'a> Ways<'a> {
    /// Makes the delay lines.
    pub(super) fn new(rig: &'a Rig, round_trip: Duration) -> Outcome<Self> {
        let far = |at: SocketAddr| {
            if round_trip.is_zero() { Ok(at) } else { delay::line(at, round_trip) }
        };
        let peer = rig.ssh_peer();
        let jump = far(SocketAddr::from(([127, 0, 0, 1], peer.relay())))?;
        let gateway = far(rig.lab().gateway.address())?;
        let proxy =
            rig.lab().admin().towline(&["proxy", rig.device().id(), &peer.device().to_string()]);
        let words: Vec<_> = [proxy.get_program()].into_iter().chain(proxy.get_args()).collect();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        Ok(Self { rig, config: peer.config(jump.port(), &words.join(" "))?, gateway })
    }

    /// 10^6 bytes a second to the device and from it, for each of the ways.
    pub(super) fn copy(&self, bytes: u64) -> Outcome<[[f64; 3]; 2]> {
        let folder = self.rig.lab().directory().join("copies");
        std::fs::create_dir_all(&folder)?;
        let (here, there, back) = (folder.join("here"), folder.join("there"), folder.join("back"));
        files::write(&here, Text::new(7).take_bytes(usize::try_from(bytes)?))?;
        let id = self.rig.device().id();
        let at = |host: &str, path: &Path| format!("{host}:{}", path.display());
        let mut up = [0.0; 3];
        let mut down = [0.0; 3];
        for (way, host) in ["device", id, "tunnelled"].into_iter().enumerate() {
            let (local, remote) = (here.display().to_string(), at(host, &there));
            up[way] = timed(self.command(way, &local, &remote), bytes, &there)?;
            down[way] =
                timed(self.command(way, &remote, &back.display().to_string()), bytes, &back)?;
            std::fs::remove_file(&there)?;
            std::fs::remove_file(&back)?;
        }
        Ok([up, down])
    }

    fn command(&self, way: usize, from: &str, to: &str) -> Command {
        let ours = self.rig.lab().admin().at(format!("https://{}", self.gateway));
        if way == 1 {
            return ours.towline(&["cp", from, to]);
        }
        let mut command = Command::new("scp");
        command.args(["-q", "-F"]).arg(&self.config).args([from, to]);
        // What `towline proxy` needs to know.
        command.envs(ours.towline(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

fn timed(command: Command, bytes: u64, made: &Path) -> Outcome<f64> {
    let start = Instant::now();
    let out = finish(command, PATIENCE)?;
    let took = start.elapsed().as_secs_f64();
    let whole = std::fs::metadata(made).map_or(0, |meta| meta.len());
    ensure(out.status.success() && whole == bytes, || {
        format!(
            "a copy failed: {}: {whole} of {bytes} bytes: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        )
    })?;
    Ok(bytes as f64 / took / 1e6)
}
