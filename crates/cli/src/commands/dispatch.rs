//! From the command line to the command.
//!
//! # Invariants
//! - Commands that need no gateway need no settings.

use std::path::Path;

use super::context::Context;
use super::{
    access, activation, admin, agent_config, audit, aws_config, cast_file, command_log, copy,
    devices, export, health, login, login_renewal, mfa, offline, play, recordings, run, sessions,
    shell, ssh_config, tunnel, verify, watch,
};
use crate::args::policy::PolicyCommand;
use crate::args::{Cli, Command};
use crate::config::{Environment, Settings};
use crate::exit::Failure;
use crate::output::Output;

/// Does what the command line asks for. Returns the exit code.
///
/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn dispatch(cli: Cli) -> Result<u8, Failure> {
    let env = Environment::of_process();
    let output = Output::new(cli.global.output, env.text("NO_COLOR").is_some());
    if let Some(result) = offline::run(&cli.command, output) {
        return result;
    }
    match &cli.command {
        Command::Login(args) => {
            return login::login(&cli.global, args, &env, output).await.map(|()| 0);
        }
        Command::Logout => return login::logout(&cli.global, &env, output).await.map(|()| 0),
        Command::Credentials => {
            return login::credentials(&cli.global, &env, output).await.map(|()| 0);
        }
        Command::AwsConfig { write } => {
            return aws_config::run(&cli.global, *write, &env, output).map(|()| 0);
        }
        Command::AgentConfig { .. } => {
            return agent_config::run(&cli.global, &env, output).map(|()| 0);
        }
        Command::Play(args) if cast_file::is_file(&args.recording)? => {
            let lines = cast_file::Lines::open(Path::new(&args.recording))?;
            return play::play(lines, args, output).await.map(|()| 0);
        }
        Command::Export(args) if cast_file::is_file(&args.recording)? => {
            let lines = cast_file::Lines::open(Path::new(&args.recording))?;
            return export::export(lines, args, output).map(|()| 0);
        }
        _ => {}
    }
    let settings = Settings::resolve(&cli.global.flags(), &env)?;
    login_renewal::before_command(&settings, &env).await?;
    let mut context = Context::new(&cli.global, env, output)?;
    if let Command::SshConfig { only_ids } = cli.command {
        return ssh_config::run(&mut context, &cli.global, only_ids).await.map(|()| 0);
    }
    Box::pin(online(cli.command, context)).await
}

async fn online(command: Command, mut context: Context) -> Result<u8, Failure> {
    match command {
        Command::Shell(args) => return shell::shell(context, args).await,
        Command::Exec(args) => return shell::exec(context, args).await,
        Command::Run(args) => return run::run(context, args).await,
        Command::Outputs(args) => run::outputs(&mut context, &args).await?,
        Command::Attach(args) => return shell::attach(context, args).await,
        Command::Forward(args) => return tunnel::forward(context, args).await,
        Command::Proxy(args) => return tunnel::proxy(context, args).await,
        Command::Cp(args) => return copy::run(context, args).await,
        Command::Devices(args) => devices::list(&mut context, args).await?,
        Command::Tag(args) => devices::tag(&mut context, args).await?,
        Command::Health => health::show(&mut context).await?,
        Command::Mfa(command) => mfa::run(&mut context, command).await?,
        Command::Whoami => admin::whoami(&mut context).await?,
        Command::Sessions(args) => sessions::list(&mut context, args).await?,
        Command::Join(args) => return shell::join(context, args).await,
        Command::Message { session, text } => {
            sessions::message(&mut context, session, text).await?
        }
        Command::Watch(args) => return Box::pin(watch::run(context, args)).await,
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
        Command::Audit(args) => audit::audit(&mut context, args).await?,
        Command::Play(args) => recordings::play(&mut context, &args).await?,
        Command::Export(args) => recordings::export(&mut context, &args).await?,
        Command::Verify(args) if verify::is_session(&args.path) => {
            recordings::verify(&mut context, &args).await?
        }
        // Done without a gateway, before this.
        Command::Verify(_)
        | Command::Policy(_)
        | Command::AwsConfig { .. }
        | Command::AgentConfig { .. }
        | Command::Login(_)
        | Command::Logout
        | Command::Credentials
        | Command::SshConfig { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => {}
    }
    Ok(0)
}
