//! `run`: one command for many devices, followed to its end.
//!
//! Data flow: targets and command -> SendCommand -> asked for its standing once a second ->
//! progress on stderr -> the summary on stdout.
//!
//! # Invariants
//! - The command belongs to the gateway: whatever ends this program, it goes on, and its id was
//!   printed.
//! - Standard output holds the result only, so that `-o json` can be piped.

use tokio::time::sleep;
use towline_ssm::Operation;
use towline_ssm::api::Empty;
use towline_ssm::api::command::{
    CancelCommandRequest, Command, CommandFilter, CommandInvocation, GetCommandInvocationRequest,
    GetCommandInvocationResult, ListCommandInvocationsRequest, ListCommandsRequest,
    ListCommandsResult, SendCommandRequest, SendCommandResult, Target,
};
use towline_ssm::command_document::RUN_SHELL_SCRIPT;

use super::progress::{Answer, Counts, Progress};
use super::summary;
use crate::args::run::RunArgs;
use crate::commands::context::Context;
use crate::exit::Failure;
use crate::limits::{PAGE, RUN_POLL};
use crate::platform::Interrupts;

/// Exit code of a program that somebody interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// `run`. Returns the exit code.
pub(crate) async fn run(mut context: Context, args: RunArgs) -> Result<u8, Failure> {
    let request = request(&mut context, &args).await?;
    let watched = match &args.watch {
        Some(device) => Some(context.device(device).await?),
        None => None,
    };
    let sent: SendCommandResult = context.call(Operation::SendCommand, &request).await?;
    let id = sent.command.command_id.clone();
    if args.detach {
        context.output.answer(&sent, |_| format!("{id}\n"))?;
        return Ok(0);
    }
    let mut progress = Progress::new(context.env.text("NO_COLOR").is_some());
    let count = sent.command.target_count;
    let devices = if count == 1 { "device" } else { "devices" };
    progress.say(&format!("command {id} for {count} {devices}"));
    match follow(&mut context, &id, watched.as_deref(), &mut progress).await? {
        Some(command) => {
            progress.clear();
            let invocations = invocations(&mut context, &id, None, true).await?;
            let code = summary::exit_code(&command, &invocations);
            context.output.answer(
                &summary::Whole { command: &command, command_invocations: &invocations },
                |_| summary::text(&command, &invocations),
            )?;
            Ok(code)
        }
        None => Ok(INTERRUPTED),
    }
}

/// Until it is over; `None` when somebody does not want to wait.
async fn follow(
    context: &mut Context,
    id: &str,
    watched: Option<&str>,
    progress: &mut Progress,
) -> Result<Option<Command>, Failure> {
    let mut told: Vec<String> = Vec::new();
    let (mut completed, mut shown) = (-1, 0);
    // One listener for all the time: what is pressed while an answer is awaited is heard
    // afterwards.
    let mut interrupt = Interrupts::listen()
        .map_err(|why| Failure::Local { what: "cannot listen to signals".to_owned(), why })?;
    loop {
        let request = ListCommandsRequest { command_id: Some(id.to_owned()), ..Default::default() };
        let listed: ListCommandsResult = context.call(Operation::ListCommands, &request).await?;
        let command = listed.commands.into_iter().next();
        let Some(command) = command else {
            return Err(Failure::BadDocument(format!("the gateway no longer has command {id}")));
        };
        if let Some(device) = watched {
            shown = watch(context, id, device, shown, progress).await?;
        }
        if command.completed_count != completed {
            completed = command.completed_count;
            for status in ["Failed", "TimedOut"] {
                for one in invocations(context, id, Some(status), false).await? {
                    if !told.contains(&one.instance_id) {
                        progress.say(&summary::failure(&one));
                        told.push(one.instance_id);
                    }
                }
            }
        }
        let running = invocations(context, id, Some("InProgress"), false).await?.len();
        progress.show(&Counts::of(&command, running));
        if command.status.is_final() {
            return Ok(Some(command));
        }
        tokio::select! {
            () = sleep(RUN_POLL) => {}
            () = interrupt.next() => match progress.ask(id, &mut interrupt).await {
                Answer::GoOn => {}
                Answer::Leave => return Ok(None),
                Answer::Cancel => {
                    let request = CancelCommandRequest { command_id: id.to_owned(), instance_ids: None };
                    let _: Empty = context.call(Operation::CancelCommand, &request).await?;
                }
            },
        }
    }
}

/// Prints what is new of a device's output; returns how many bytes of it were shown.
async fn watch(
    context: &mut Context,
    id: &str,
    device: &str,
    shown: usize,
    progress: &mut Progress,
) -> Result<usize, Failure> {
    let request = GetCommandInvocationRequest {
        command_id: id.to_owned(),
        instance_id: device.to_owned(),
        plugin_name: None,
    };
    let one: GetCommandInvocationResult =
        context.call(Operation::GetCommandInvocation, &request).await?;
    let text = one.standard_output_content;
    // The end may still change while bytes of a character are missing; what was shown stays.
    let fresh = text.get(shown..).unwrap_or_default();
    let whole = if one.status.is_final() { fresh } else { fresh.trim_end_matches('\u{fffd}') };
    progress.output(whole);
    Ok(shown + whole.len())
}

async fn invocations(
    context: &mut Context,
    id: &str,
    status: Option<&str>,
    details: bool,
) -> Result<Vec<CommandInvocation>, Failure> {
    let filter =
        |value: &str| vec![CommandFilter { key: "Status".to_owned(), value: value.to_owned() }];
    let request = ListCommandInvocationsRequest {
        command_id: Some(id.to_owned()),
        max_results: Some(PAGE),
        filters: status.map(filter),
        details: details.then_some(true),
        ..Default::default()
    };
    context.list(request).await
}

async fn request(context: &mut Context, args: &RunArgs) -> Result<SendCommandRequest, Failure> {
    let mut request = SendCommandRequest {
        document_name: args.document.clone().unwrap_or_else(|| RUN_SHELL_SCRIPT.to_owned()),
        timeout_seconds: Some(args.deliver_within.into()),
        comment: args.comment.clone(),
        max_concurrency: Some(args.concurrency.clone()),
        max_errors: Some(args.max_errors.clone()),
        ..Default::default()
    };
    for (name, value) in &args.param {
        request.parameters.entry(name.clone()).or_default().push(value.clone());
    }
    let mut put =
        |name: &str, value: String| request.parameters.insert(name.to_owned(), vec![value]);
    if !args.command.is_empty() {
        put("commands", line(&args.command));
    }
    if let Some(seconds) = args.timeout {
        put("executionTimeout", seconds.to_string());
    }
    if let Some(directory) = &args.directory {
        put("workingDirectory", directory.clone());
    }
    let (targets, names) = targets(&args.target).map_err(Failure::Usage)?;
    if names.is_empty() {
        request.targets = Some(targets);
        return Ok(request);
    }
    let mut ids = Vec::new();
    for name in names {
        ids.push(context.device(&name).await?);
    }
    request.instance_ids = Some(ids);
    Ok(request)
}

/// A line for a shell: one argument is one already; several are quoted so that they arrive as they
/// are.
fn line(command: &[String]) -> String {
    match command {
        [line] => line.clone(),
        several => several.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Targets of the API, and names that are to be looked up.
fn targets(words: &[String]) -> Result<(Vec<Target>, Vec<String>), String> {
    let (mut targets, mut names): (Vec<Target>, Vec<String>) = (Vec::new(), Vec::new());
    for word in words {
        let (key, value) = if word == "all" {
            ("InstanceIds".to_owned(), "*".to_owned())
        } else if let Some(key) = word.strip_prefix("tag-key:") {
            ("tag-key".to_owned(), key.to_owned())
        } else if let Some(tag) = word.strip_prefix("tag:") {
            let pair = tag.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) =
                pair.ok_or_else(|| format!("`{word}` is not a target: expected tag:KEY=VALUE"))?;
            (format!("tag:{key}"), value.to_owned())
        } else {
            names.push(word.clone());
            continue;
        };
        match targets.iter_mut().find(|target| target.key == key) {
            Some(target) => target.values.push(value),
            None => targets.push(Target { key, values: vec![value] }),
        }
    }
    if !targets.is_empty() && !names.is_empty() {
        return Err("targets are either ids and names, or tags, not both".to_owned());
    }
    Ok((targets, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn one_argument_is_a_line_and_several_arrive_as_they_are() {
        assert_eq!(line(&words(&["df -h | tail -1"])), "df -h | tail -1");
        assert_eq!(
            line(&words(&["printf", "<%s>", "a b", "", "it's"])),
            r"printf '<%s>' 'a b' '' 'it'\''s'"
        );
    }

    #[test]
    fn values_of_one_tag_are_alternatives_and_tags_narrow() {
        let (found, names) =
            targets(&words(&["tag:Env=dev", "tag:Env=test", "tag:Role=db=1", "tag-key:x"]))
                .unwrap();
        let pairs: Vec<_> = found.iter().map(|t| (t.key.as_str(), t.values.join("|"))).collect();
        assert_eq!(
            pairs,
            [("tag:Env", "dev|test".into()), ("tag:Role", "db=1".into()), ("tag-key", "x".into())]
        );
        assert!(names.is_empty());
        assert_eq!(targets(&words(&["all"])).unwrap().0[0].values, ["*"]);
        assert!(
            targets(&words(&["pi", "tag:a=b"])).is_err() && targets(&words(&["tag:x"])).is_err()
        );
    }
}
