//! `towline-gateway`: arguments, logging, runtime, exit code. Everything else is in the library.
#![forbid(unsafe_code)]

mod args;
mod backup_commands;
mod cert_commands;
mod join_commands;
mod link_command;
mod move_command;
mod node_commands;
mod offline;
mod open_files;
mod pin_commands;
mod private_process;
mod signals;
mod tunables;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use towline_gateway::cluster::Drain;
use towline_gateway::wiring::{DataPlane, Gateway, GatewayError};
use towline_gateway::{config, init, listener, log_queue, logging};
use towline_host::files;
use towline_store::{Store, StoreError};
use tracing::level_filters::LevelFilter;

use args::{Args, Command, Serve};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = logging::start(if args.verbose { LevelFilter::DEBUG } else { LevelFilter::INFO })
        .map_err(Failure::from)
        .map(|()| {
            private_process::apply();
            if matches!(args.command, Command::Serve(_)) {
                tunables::apply(); // before there are threads
            }
        })
        .and_then(|()| runtime().map_err(Failure::from))
        .and_then(|runtime| runtime.block_on(act(args.command)));
    log_queue::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "towline-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One worker less than there are cores, and one at least. A keystroke passes two tasks here; on
/// one worker the second runs right after the first, on two it has to be woken on another core,
/// which costs more than all the work (seen: two cores, 4 futex calls a keystroke, p50 a sixth
/// higher). The core that is left serves the store's threads.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(1).max(1))
        .enable_all()
        .build()
}

async fn act(command: Command) -> Result<(), Failure> {
    signals::outlive_limits()?;
    run(command).await
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(options) => {
            if let Some(path) = options.out.as_deref().filter(|path| taken(path)) {
                return Err(format!("{} is there already: name a new file", path.display()).into());
            }
            let made = init::run(&options.to_options()).await?;
            let text = if options.json {
                serde_json::to_string(&made)?
            } else {
                args::for_people(&made, &options.dir)
            };
            match &options.out {
                Some(path) => files::create_private(path, format!("{text}\n").as_bytes())?,
                None => writeln!(std::io::stdout(), "{text}")?,
            }
            Ok(())
        }
        Command::AdminKey(options) => offline::admin_key(&options).await,
        Command::Backup(options) => backup_commands::backup(&options).await,
        Command::Restore(options) => backup_commands::restore(&options).await,
        Command::SignInLink(options) => link_command::run(&options).await,
        Command::IndexRecordings { dir } => offline::index_recordings(&dir).await,
        Command::Pin(command) => pin_commands::run(&command).await,
        Command::Config(args::Config::Check { dir }) => offline::check(&dir).await,
        Command::MigrateStore(options) => move_command::run(&options).await,
        Command::RemoveTag(options) => offline::remove_tag(&options).await,
        Command::Nodes(options) => node_commands::nodes(&options).await,
        Command::JoinToken(options) => join_commands::token(&options).await,
        Command::Join(options) => join_commands::join(&options).await,
        Command::Cert(command) => cert_commands::run(&command).await,
        Command::Drain(options) => node_commands::drain(&options).await,
        Command::Serve(options) => serve(&options).await,
    }
}

/// How long a gateway waits between two looks at a full disk.
const ROOM_AGAIN: Duration = Duration::from_secs(5);

/// How long a gateway waits between two looks at a store that another one works with.
const TURN_AGAIN: Duration = Duration::from_secs(2);

async fn serve(options: &Serve) -> Result<(), Failure> {
    signals::outlive_news()?;
    open_files::raise();
    if options.accept_store {
        let _lock = towline_host::lock::DirLock::take(&options.dir)?;
        Store::accept(&options.dir.join(config::STORE)).await?;
    }
    let mut stop = stop_on_signal()?;
    let Some((gateway, plane)) = started(options, &mut stop).await? else { return Ok(()) };
    let address = gateway.address()?;
    // Scripts wait for this line: it comes first, and at once. Nobody has to read it.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening on {address}");
    if let Some(address) = gateway.monitor_address() {
        let _ = writeln!(stdout, "monitoring on {address}");
    }
    let _ = stdout.flush();
    let store = gateway.foundation().store.clone();
    if let Some(drain) = plane.drain.clone() {
        hurry_on_second_signal(drain)?;
    }
    tokio::select! {
        served = gateway.serve(plane, stop) => Ok(served?),
        () = store.taken_over() => Err(taken_over(&store).into()),
    }
}

/// Why this gateway ends although nobody told it to.
fn taken_over(store: &Store) -> &'static str {
    match store.node() {
        None => {
            "another gateway works with the store now: this one ends at once, as if it had been \
             killed; started again, it waits for its turn"
        }
        Some(_) => {
            "another gateway has declared this one dead, or does its chores, or has taken its \
             name: \
             it ends at once, as if it had been killed; started again, it joins anew"
        }
    }
}

/// A gateway with its data plane. Waits for room while the disk is full; `None`: told to stop
/// meanwhile.
async fn started(
    options: &Serve,
    stop: &mut watch::Receiver<bool>,
) -> Result<Option<(Gateway, DataPlane)>, Failure> {
    let mut waits = false;
    loop {
        let mut again = ROOM_AGAIN;
        match Gateway::open(&options.dir, options.listen, options.metrics).await {
            Ok(gateway) => {
                if !gateway.foundation().store.notices_another_server() {
                    tracing::warn!(
                        "the database's server tells no timeline: after a failover to a standby \
                         that lags, a command may be executed again"
                    );
                }
                let plane = gateway.data_plane().await?;
                return Ok(Some((gateway, plane)));
            }
            Err(error) if error.is_full_disk() => {
                let seconds = ROOM_AGAIN.as_secs();
                tracing::error!("not started: {error}; next try in {seconds} s");
            }
            Err(GatewayError::Store(StoreError::Held)) => {
                if !waits {
                    tracing::info!("another gateway works with the store: this one waits");
                }
                (waits, again) = (true, TURN_AGAIN);
            }
            Err(GatewayError::Store(StoreError::WaitsForApproval)) => {
                if !waits {
                    tracing::info!("{}", StoreError::WaitsForApproval);
                }
                (waits, again) = (true, TURN_AGAIN);
            }
            Err(GatewayError::Store(error)) if error.is_away() => {
                let seconds = ROOM_AGAIN.as_secs();
                tracing::error!("not started: {error}; next try in {seconds} s");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(again) => {}
            () = listener::stopped(stop) => return Ok(None),
        }
    }
}

/// Whether there is something under this name, be it a link to nowhere.
fn taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The first signal begins a drain; the second one ends it.
fn hurry_on_second_signal(drain: Arc<Drain>) -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        }
        drain.begin(Duration::ZERO);
    });
    Ok(())
}

/// Becomes true on SIGTERM or SIGINT.
fn stop_on_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (tell, stop) = watch::channel(false);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("stopping");
        let _ = tell.send(true);
        // The sender must live as long as somebody waits.
        tell.closed().await;
    });
    Ok(stop)
}
