//! `cargo xtask bench tunnel`: `towline forward` against `ssh -L`, both to a device that dialled
//! out.
//!
//! The peer is `ssh -L -> sshd <- ssh -R -> dropbear`; ours is command line, gateway and agent. The
//! far ones have a delay line between the operator's client and the server ([`super::delay`]).
//!
//! Files go beside them: scp through a jump host, `towline cp`, and scp through `towline proxy`
//! ([`super::copy`]).
//!
//! Data flow: one target on this machine -> both forwards up -> each sample for the peer, then for
//! ours -> a table. One run, the two beside each other: a busy machine slows both, but not evenly.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use towline_testkit::process::Running;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use super::peer::{free_port, listens};
use super::rig::Rig;
use super::sample::{A_FAST_TYPIST, keystrokes};
use super::{copy, delay, stats};
use crate::{console, programs, setup};

/// Bytes of one transfer: near, far down, and far up, where the peer has moved less than half a
/// megabyte a second.
const NEAR: u64 = 200_000_000;
const FAR: u64 = 30_000_000;
const FAR_UP: u64 = 6_000_000;
/// Connections of one sample, one after the other: each sends a byte and has it back.
const CONNECTIONS: usize = 400;
/// Rounds of keystrokes beside a download; a single one moves by a factor of ten on a machine that
/// does other things, too.
const KEY_ROUNDS: usize = 3;

/// Runs all samples, or those without a delay line only, and prints the table.
///
/// # Errors
/// A rig does not work.
pub(crate) fn compare(near: bool) -> Outcome {
    setup::programs(setup::FOR_BENCH)?;
    programs::shipped()?;
    let rig = Rig::start(1000)?;
    console::line(&format!("machine: {}", stats::machine()));
    let target = target()?;
    let mut rows = vec![["sample", "ssh -L", "ours", "unit", "ratio"].map(str::to_owned).to_vec()];
    let mut row = |what: &str, unit: &str, values: [f64; 2]| {
        console::line(&format!("{what}: peer {:.1}, ours {:.1} {unit}", values[0], values[1]));
        let [peer, ours] = values;
        rows.push(vec![
            what.into(),
            format!("{peer:.1}"),
            format!("{ours:.1}"),
            unit.into(),
            format!("{:.2}", ours / peer),
        ]);
    };
    for (name, round_trip, bytes) in
        [("loopback", 0, NEAR), ("50 ms", 50, FAR), ("100 ms", 100, FAR)]
    {
        if near && round_trip > 0 {
            break;
        }
        let both = Both::start(&rig, target, Duration::from_millis(round_trip))?;
        row(&format!("download, {name}"), "MB/s", both.each(|port| transfer(port, b'D', bytes))?);
        let up = if round_trip == 0 { bytes } else { FAR_UP };
        row(&format!("upload, {name}"), "MB/s", both.each(|port| transfer(port, b'U', up))?);
        if round_trip == 0 {
            row("connections, one by one", "1/s", both.each(connections)?);
            let ours = rig.ours();
            let busy = |port, command: &Command| {
                beside_bulk(port, || keystrokes(command, Some(A_FAST_TYPIST)))
            };
            let mut times = [const { Vec::new() }; 2];
            for _ in 0..KEY_ROUNDS {
                times[0].push(busy(both.peer, &rig.peer())?);
                times[1].push(busy(both.ours, &ours)?);
            }
            console::line(&format!(
                "keystrokes, round by round: peer {:.0?}, ours {:.0?} us",
                times[0], times[1]
            ));
            row("keystroke p50 beside a full download", "us", times.map(|all| stats::median(&all)));
        }
    }
    console::table(&rows);
    if near { Ok(()) } else { copies(&rig) }
}

/// A table of its own: there are three ways.
fn copies(rig: &Rig) -> Outcome {
    let mut rows = vec![
        ["one file", "scp -J", "towline cp", "scp, towline proxy", "unit", "ratios"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (name, round_trip, bytes) in
        [("loopback", 0, NEAR / 2), ("50 ms", 50, FAR), ("100 ms", 100, FAR)]
    {
        let both = copy::Ways::new(rig, Duration::from_millis(round_trip))?.copy(bytes)?;
        for (way, [peer, cp, proxy]) in ["to the device", "from the device"].into_iter().zip(both) {
            console::line(&format!(
                "{way}, {name}: scp -J {peer:.1}, towline cp {cp:.1}, scp by proxy {proxy:.1} MB/s"
            ));
            let mut row = vec![format!("{way}, {name}")];
            row.extend([peer, cp, proxy].map(|value| format!("{value:.1}")));
            row.extend(["MB/s".to_owned(), format!("{:.2}, {:.2}", cp / peer, proxy / peer)]);
            rows.push(row);
        }
    }
    console::table(&rows);
    Ok(())
}

/// The peer's forward and ours, to the same target.
struct Both {
    peer: u16,
    ours: u16,
    running: [Running; 2],
}

/// A forward that is killed leaves its session to wait for it, with a full ring: the next would be
/// measured beside it.
impl Drop for Both {
    fn drop(&mut self) {
        for running in &mut self.running {
            let _ = running.stop();
        }
    }
}

impl Both {
    fn start(rig: &Rig, target: SocketAddr, round_trip: Duration) -> Outcome<Self> {
        let far = |at: SocketAddr| {
            if round_trip.is_zero() { Ok(at) } else { delay::line(at, round_trip) }
        };
        let entrance = far(SocketAddr::from(([127, 0, 0, 1], rig.ssh_peer().entrance())))?;
        let gateway = far(rig.lab().gateway.address())?;
        let folder = rig.lab().directory();
        let peer = free_port()?;
        let ssh = rig.ssh_peer().forward(entrance.port(), peer, target.port());
        let ssh = Running::start(
            "ssh -L",
            ssh,
            &folder.join(format!("ssh-{}.log", round_trip.as_millis())),
        )?;
        listens(peer)?;
        let ours = free_port()?;
        let operator = rig.lab().admin().at(format!("https://{gateway}"));
        let forward =
            operator.towline(&["forward", rig.device().id(), &format!("{ours}:{}", target.port())]);
        let forward = Running::start(
            "forward",
            forward,
            &folder.join(format!("ours-{}.log", round_trip.as_millis())),
        )?;
        listens(ours)?;
        Ok(Self { peer, ours, running: [ssh, forward] })
    }

    fn each(&self, sample: impl Fn(u16) -> Outcome<f64>) -> Outcome<[f64; 2]> {
        Ok([sample(self.peer)?, sample(self.ours)?])
    }
}

/// A server that does what the first byte says: `D` sends without end, `U` takes all and says a
/// word, `E` echoes.
fn target() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) {
    let mut buffer = vec![7; 256 * 1024];
    let mut word = [0];
    let _ = stream.set_nodelay(true);
    if stream.read_exact(&mut word).is_err() {
        return;
    }
    match word[0] {
        b'D' => while stream.write_all(&buffer).is_ok() {},
        b'U' => {
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
            let _ = stream.write_all(b"k");
        }
        _ => {
            while let Ok(n) = stream.read(&mut buffer) {
                if n == 0 || stream.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
        }
    }
}

fn begin(port: u16, word: u8) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.write_all(&[word])?;
    Ok(stream)
}

/// 10^6 bytes a second.
fn transfer(port: u16, word: u8, bytes: u64) -> Outcome<f64> {
    let mut stream = begin(port, word)?;
    let mut buffer = vec![7; 256 * 1024];
    let start = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(buffer.len()).min(buffer.len());
        let n = if word == b'D' {
            stream.read(&mut buffer[..most])?
        } else {
            stream.write(&buffer[..most])?
        };
        ensure(n > 0, || "the transfer broke off".into())?;
        left -= n as u64;
    }
    if word == b'U' {
        stream.shutdown(Shutdown::Write)?;
        stream.read_exact(&mut [0])?;
    }
    Ok(bytes as f64 / start.elapsed().as_secs_f64() / 1e6)
}

fn connections(port: u16) -> Outcome<f64> {
    let start = Instant::now();
    for _ in 0..CONNECTIONS {
        let mut stream = begin(port, b'E')?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
    }
    Ok(CONNECTIONS as f64 / start.elapsed().as_secs_f64())
}

/// A sample while another connection downloads as fast as it can.
fn beside_bulk(port: u16, sample: impl FnOnce() -> Outcome<f64>) -> Outcome<f64> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| -> Outcome {
            let mut stream = begin(port, b'D')?;
            let mut buffer = vec![0; 256 * 1024];
            while !over.load(Ordering::SeqCst) {
                ensure(stream.read(&mut buffer)? > 0, || "the load broke off".into())?;
            }
            Ok(())
        });
        let value = sample();
        over.store(true, Ordering::SeqCst);
        load.join().map_err(|_| Trouble::new("the load failed"))??;
        value
    })
}
