//! The links of a fleet over pipes in memory: the gateway's real TLS, link, hub and store code,
//! without open files. What one idle device costs, and how soon all are back after their links were
//! cut.
//!
//! The devices live in another process, so that the memory of this one is the gateway's. The memory
//! of the pipes is measured without TLS first, and shown apart. `TOWLINE_LINKS=100000` sets how
//! many (`cargo xtask fleet links` does).
// also outside of the test function: all of this is a test
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use towline_gateway::init::{self, Options};
use towline_gateway::transport::Transport;
use towline_gateway::wiring::Gateway;
use towline_testkit::fleet::{self, Counts, Mux, Pipe};

/// Links of an ordinary run.
const FEW: usize = 200;
/// How long all may take to come.
const ALL_COME: Duration = Duration::from_secs(1200);
/// The one test.
const TEST: &str = "all_links_of_a_fleet_come_back_and_an_idle_one_costs_little";
/// Says to the other process which devices it is, and where.
const PLACE: &str = "TOWLINE_LINKS_PLACE";

fn links() -> usize {
    std::env::var("TOWLINE_LINKS").ok().and_then(|n| n.parse().ok()).unwrap_or(FEW)
}

/// The other process: devices, until it is killed.
fn be_devices(place: &Path) {
    let plan = fleet::Plan {
        gateway: fleet::Way::Socket(place.join("pipes")),
        ca: place.join("gw/ca.pem"),
        first: 0,
        count: links(),
        work: Duration::ZERO,
    };
    let told = fleet::run(&plan, |counts| {
        println!("{}", counts.line());
        true
    });
    told.unwrap();
}

/// The other process. It ends with it.
struct Devices {
    child: Child,
    counts: Arc<Mutex<Counts>>,
}

impl Devices {
    fn start(place: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([TEST, "--exact", "--nocapture"]);
        let mut child = command.env(PLACE, place).stdout(Stdio::piped()).spawn().unwrap();
        let (out, counts) = (child.stdout.take().unwrap(), Arc::<Mutex<Counts>>::default());
        let told = Arc::clone(&counts);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(now) = Counts::parse(&line) {
                    *told.lock().unwrap() = now;
                }
            }
        });
        Self { child, counts }
    }

    /// How long it takes until so many links have been welcomed, and as many are there.
    async fn come(&self, linked: usize, welcomes: usize) -> Duration {
        let begin = Instant::now();
        loop {
            let now = *self.counts.lock().unwrap();
            if now.linked == linked && now.welcomes >= welcomes {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < ALL_COME, "{now:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resident() -> u64 {
    towline_testkit::facts::memory(std::process::id()).unwrap().rss * 1024
}

/// Bytes that one pipe costs this process, without TLS and without a device.
async fn cost_of_a_pipe(links: usize) -> u64 {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let before = resident();
    let ((mux, _), (_other, mut accept)) = (Mux::over(theirs), Mux::over(ours));
    let mut held: Vec<Box<Pipe>> = Vec::with_capacity(links);
    let opened: Vec<Pipe> = (0..links).map(|_| mux.open()).collect();
    while held.len() < links {
        held.push(Box::new(accept.recv().await.unwrap()));
    }
    // Both ends are in this process.
    let cost = resident().saturating_sub(before) / 2 / links as u64;
    drop((opened, held));
    cost
}

fn options(dir: &Path) -> Options {
    Options { hostnames: vec!["127.0.0.1".into()], ..Options::new(dir.to_owned(), "127.0.0.1:0") }
}

/// Pipes become connections, each sixteen of another address.
async fn lead_in(mut accept: mpsc::Receiver<Pipe>, into: mpsc::Sender<(Transport, SocketAddr)>) {
    let mut number = 0_u32;
    while let Some(pipe) = accept.recv().await {
        let source = IpAddr::from(Ipv4Addr::from((10 << 24) + number % (1 << 20) / 16));
        number += 1;
        let piped = Transport::Pipe(Box::new(pipe));
        if into.send((piped, SocketAddr::new(source, 1))).await.is_err() {
            return;
        }
    }
}

#[test]
fn all_links_of_a_fleet_come_back_and_an_idle_one_costs_little() {
    if let Some(place) = std::env::var_os(PLACE) {
        return be_devices(Path::new(&place));
    }
    // As many workers as the gateway has on two cores.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build().unwrap().block_on(measure());
}

async fn measure() {
    let (links, place) = (links(), tempfile::tempdir().unwrap());
    let dir = place.path().join("gw");
    init::run(&options(&dir)).await.unwrap();
    fleet::store(&dir.join("towline.db"), links).unwrap();
    let toml = dir.join("gateway.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    // What open files would allow does not count here.
    #[allow(clippy::disallowed_methods)] // nobody reads it yet
    std::fs::write(&toml, format!("max_connections = {}\n{text}", links + 1000)).unwrap();
    let gateway = Gateway::open(&dir, None, None).await.unwrap();
    let plane = gateway.data_plane().await.unwrap();
    let (tell_stop, stop) = watch::channel(false);
    let (into, pipes) = mpsc::channel(64);
    let serving = tokio::spawn(async move { gateway.serve_piped(plane, Some(pipes), stop).await });
    let pipe = cost_of_a_pipe(links).await;
    let empty = resident();
    let listener = UnixListener::bind(place.path().join("pipes")).unwrap();
    let devices = Devices::start(place.path());
    let (mux, accept) = Mux::over(listener.accept().await.unwrap().0);
    tokio::spawn(lead_in(accept, into));
    let came = devices.come(links, links).await;
    tokio::time::sleep(Duration::from_secs(if links > FEW { 20 } else { 1 })).await;
    let idle = resident().saturating_sub(empty) / links as u64;
    let before = towline_testkit::facts::cpu_us(std::process::id()).unwrap();
    mux.cut();
    let back = devices.come(links, 2 * links).await;
    let cpu = towline_testkit::facts::cpu_us(std::process::id()).unwrap() - before;
    println!(
        "links | came in | an idle device, bytes | of it the pipe | all back in | gateway's \
         processor\n\
         {links} | {:.1} s | {idle} | {pipe} | {:.1} s | {:.1} s",
        came.as_secs_f64(),
        back.as_secs_f64(),
        Duration::from_micros(cpu).as_secs_f64(),
    );
    drop(devices);
    tell_stop.send(true).unwrap();
    serving.await.unwrap().unwrap();
}
