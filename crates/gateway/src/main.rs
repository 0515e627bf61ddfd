//! `towline-gateway`: arguments, logging, runtime, exit code. Everything else is in the library.
#![forbid(unsafe_code)]

mod args;
mod open_files;
mod tunables;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use towline_gateway::wiring::Gateway;
use towline_gateway::{init, logging};
use tracing::level_filters::LevelFilter;

use args::{Args, Command};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = logging::start(if args.verbose { LevelFilter::DEBUG } else { LevelFilter::INFO })
        .map_err(Failure::from)
        .map(|()| {
            if matches!(args.command, Command::Serve(_)) {
                tunables::apply(); // before there are threads
            }
        })
        .and_then(|()| runtime().map_err(Failure::from))
        .and_then(|runtime| runtime.block_on(run(args.command)));
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

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(options) => {
            let made = init::run(&options.to_options()).await?;
            let text = if options.json {
                serde_json::to_string(&made)?
            } else {
                args::for_people(&made, &options.dir)
            };
            writeln!(std::io::stdout(), "{text}")?;
            Ok(())
        }
        Command::Serve(options) => {
            open_files::raise();
            let gateway = Gateway::open(&options.dir, options.listen, options.metrics).await?;
            // Scripts wait for this line: it comes first, and at once.
            let mut stdout = std::io::stdout();
            writeln!(stdout, "listening on {}", gateway.address()?)?;
            if let Some(address) = gateway.monitor_address() {
                writeln!(stdout, "monitoring on {address}")?;
            }
            stdout.flush()?;
            let plane = gateway.data_plane().await?;
            gateway.serve(plane, stop_on_signal()?).await?;
            Ok(())
        }
    }
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
