//! What each command does: a request, an answer, a table.
//!
//! # Invariants
//! - Commands that need no gateway need no settings.
//! - What is a list in the API is read whole, page by page, within a bound.

mod access;
mod activation;
mod admin;
mod aws_config;
mod cast_file;
mod command_log;
mod copy;
mod devices;
mod identity;
mod offline;
mod play;
mod policy;
mod recordings;
mod refusal;
mod run;
mod sessions;
mod shell;
mod ssh_config;
mod target;
mod tunnel;
mod verify;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use towline_ssm::Operation;
use towline_ssm::api::tags::Tag;
use towline_ssm::clock::{EpochSeconds, format_iso8601};

pub(crate) use target::TargetError;

use crate::api::Client;
use crate::args::policy::PolicyCommand;
use crate::args::{Cli, Command, Global};
use crate::config::{Environment, Settings};
use crate::exit::Failure;
use crate::output::Output;

/// Longest document that is read from a file or standard input, bytes: above what the API takes.
const MAX_DOCUMENT: u64 = 256 * 1024;

/// What a command that speaks to the gateway works with.
struct Context {
    client: Client,
    env: Environment,
    output: Output,
}

impl Context {
    fn new(global: &Global, env: Environment, output: Output) -> Result<Self, Failure> {
        let settings = Settings::resolve(&global.flags(), &env)?;
        Ok(Self { client: Client::new(settings), env, output })
    }

    async fn call<A: DeserializeOwned>(
        &mut self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<A, Failure> {
        Ok(self.client.call(operation, request).await?)
    }
}

/// Does what the command line asks for. Returns the exit code.
///
/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(cli: Cli) -> Result<u8, Failure> {
    let env = Environment::of_process();
    let output = Output::new(cli.global.output, env.text("NO_COLOR").is_some());
    if let Some(result) = offline::run(&cli.command, output) {
        return result;
    }
    match &cli.command {
        Command::AwsConfig { write } => {
            return aws_config::run(&cli.global, *write, &env, output).map(|()| 0);
        }
        Command::Play(args) if play::is_file(&args.recording) => {
            let lines = cast_file::Lines::open(Path::new(&args.recording))?;
            return play::play(lines, args, output).await.map(|()| 0);
        }
        Command::Export(args) if play::is_file(&args.recording) => {
            let lines = cast_file::Lines::open(Path::new(&args.recording))?;
            return play::export(lines, args, output).map(|()| 0);
        }
        _ => {}
    }
    let mut context = Context::new(&cli.global, env, output)?;
    if let Command::SshConfig { only_ids } = cli.command {
        return ssh_config::run(&mut context, &cli.global, only_ids).await.map(|()| 0);
    }
    online(cli.command, context).await
}

async fn online(command: Command, mut context: Context) -> Result<u8, Failure> {
    match command {
        Command::Shell(args) => return shell::shell(context, args).await,
        Command::Exec(args) => return shell::exec(context, args).await,
        Command::Run(args) => return run::run(context, args).await,
        Command::Attach(args) => return shell::attach(context, args).await,
        Command::Forward(args) => return tunnel::forward(context, args).await,
        Command::Proxy(args) => return tunnel::proxy(context, args).await,
        Command::Cp(args) => return copy::run(context, args).await,
        Command::Devices(args) => devices::list(&mut context, args).await?,
        Command::Tag(args) => devices::tag(&mut context, args).await?,
        Command::Whoami => admin::whoami(&mut context).await?,
        Command::Sessions(args) => sessions::list(&mut context, args).await?,
        Command::Terminate { session } => sessions::terminate(&mut context, session).await?,
        Command::Activation(command) => activation::run(&mut context, command).await?,
        Command::Access(command) => access::run(&mut context, command).await?,
        Command::Policy(PolicyCommand::Test(args)) => {
            return access::test(&mut context, args).await;
        }
        Command::Policy(PolicyCommand::Who { device }) => {
            access::who(&mut context, &device).await?
        }
        Command::Admin(command) => admin::run(&mut context, command).await?,
        Command::Logs(args) => recordings::logs(&mut context, args).await?,
        Command::Commands(args) => command_log::list(&mut context, &args).await?,
        Command::Audit(args) => recordings::audit(&mut context, args).await?,
        Command::Play(args) => recordings::play(&mut context, &args).await?,
        Command::Export(args) => recordings::export(&mut context, &args).await?,
        Command::Verify(args) if verify::is_session(&args.path) => {
            recordings::verify(&mut context, &args).await?
        }
        // Done without a gateway, before this.
        Command::Verify(_)
        | Command::Policy(_)
        | Command::AwsConfig { .. }
        | Command::SshConfig { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => {}
    }
    Ok(0)
}

fn tags(pairs: Vec<(String, String)>) -> Vec<Tag> {
    pairs.into_iter().map(|(key, value)| Tag { key, value }).collect()
}

fn tags_text(tags: &[Tag]) -> String {
    tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect::<Vec<_>>().join(",")
}

fn time_text(time: Option<EpochSeconds>) -> String {
    time.map(|time| format_iso8601(time.secs())).unwrap_or_default()
}

/// The text of a file, or of standard input for `-`.
fn read_document(path: &Path) -> Result<String, Failure> {
    use std::io::Read;
    let failed = |why| Failure::Local { what: format!("cannot read {}", path.display()), why };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_DOCUMENT + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_DOCUMENT + 1).read_to_string(&mut text))
    };
    if read.map_err(failed)? as u64 > MAX_DOCUMENT {
        return Err(Failure::Usage(format!(
            "{} is larger than {MAX_DOCUMENT} bytes",
            path.display()
        )));
    }
    Ok(text)
}
