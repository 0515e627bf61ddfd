//! `outputs`: the whole output of a command, where `run` shows its first characters only.
//!
//! Data flow: devices of the command -> steps -> GetCommandOutput, piece by piece -> standard
//! output and standard error.
//!
//! # Invariants
//! - Bytes are written as the device sent them, except to a terminal: there, control characters
//!   become spaces.
//! - Memory is one piece.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use towline_evidence::text::Decoder;
use towline_ssm::Operation;
use towline_ssm::api::command::{
    CommandInvocation, GetCommandOutputRequest, GetCommandOutputResult,
    ListCommandInvocationsRequest, OutputStream,
};

use crate::args::run::{OutputsArgs, StreamName};
use crate::commands::context::Context;
use crate::exit::Failure;
use crate::limits::PAGE;
use crate::output::{complain, json_line};
use crate::platform::{is_reader_gone, is_terminal};
use crate::terminal::{is_reordering, printable};

/// `outputs`.
pub(crate) async fn outputs(context: &mut Context, args: &OutputsArgs) -> Result<(), Failure> {
    if let Some(device) = &args.device {
        let id = context.device(device).await?;
        return of_device(context, args, &id, None).await;
    }
    let request = ListCommandInvocationsRequest {
        command_id: Some(args.command.clone()),
        max_results: Some(PAGE),
        ..Default::default()
    };
    let all: Vec<CommandInvocation> = context.list(request).await?;
    match all.as_slice() {
        [] => {
            Err(Failure::Usage(format!("the gateway has no command {}", printable(&args.command))))
        }
        [one] => of_device(context, args, &one.instance_id, None).await,
        several => {
            for one in several {
                let name = if one.instance_name.is_empty() {
                    &one.instance_id
                } else {
                    &one.instance_name
                };
                let head = format!("{} ({})", printable(name), one.instance_id);
                of_device(context, args, &one.instance_id, Some(&head)).await?;
            }
            Ok(())
        }
    }
}

/// All steps on one device. `head` stands before each where there are several devices.
async fn of_device(
    context: &mut Context,
    args: &OutputsArgs,
    device: &str,
    head: Option<&str>,
) -> Result<(), Failure> {
    let mut request = GetCommandOutputRequest {
        command_id: args.command.clone(),
        instance_id: device.to_owned(),
        plugin_name: args.step.clone(),
        offset: u64::MAX, // behind the end: only the names of the steps are asked for
        ..GetCommandOutputRequest::default()
    };
    let first: GetCommandOutputResult = context.call(Operation::GetCommandOutput, &request).await?;
    let steps = match &args.step {
        Some(_) => vec![first.plugin_name.clone()],
        None => first.plugin_names.clone(),
    };
    let mut finished = true;
    for step in &steps {
        if context.output.is_json() {
            finished &= json(context, &mut request, step, args.stream).await?;
            continue;
        }
        match (head, steps.len()) {
            (None, 1) => {}
            (head, 1) => context.output.text(&format!("== {}\n", head.unwrap_or_default()))?,
            (head, _) => {
                let head = head.map(|head| format!("{head}: ")).unwrap_or_default();
                context.output.text(&format!("== {head}{}\n", printable(step)))?;
            }
        }
        request.plugin_name = Some(step.clone());
        let (stdout, stderr) = (is_terminal(io::stdout()), is_terminal(io::stderr()));
        if args.stream != Some(StreamName::Stderr) {
            let to = Written::to(io::stdout(), stdout);
            finished &= written(context, &mut request, OutputStream::Stdout, to).await?;
        }
        match args.stream {
            Some(StreamName::Stdout) => {}
            // The only stream that is asked for goes to standard output.
            Some(StreamName::Stderr) => {
                let to = Written::to(io::stdout(), stdout);
                finished &= written(context, &mut request, OutputStream::Stderr, to).await?;
            }
            None => {
                let to = Written::to(io::stderr(), stderr);
                finished &= written(context, &mut request, OutputStream::Stderr, to).await?;
            }
        }
    }
    if !finished {
        complain(&format!("{device} is still running the command: more output may follow"));
    }
    Ok(())
}

/// One line of JSON for a step. Bytes that are not UTF-8 are replaced.
async fn json(
    context: &mut Context,
    request: &mut GetCommandOutputRequest,
    step: &str,
    stream: Option<StreamName>,
) -> Result<bool, Failure> {
    request.plugin_name = Some(step.to_owned());
    let (mut stdout, mut stderr, mut finished) = (Vec::new(), Vec::new(), true);
    if stream != Some(StreamName::Stderr) {
        let keep = |bytes: &[u8]| stdout.write_all(bytes);
        finished &= each_piece(context, request, OutputStream::Stdout, keep).await?;
    }
    if stream != Some(StreamName::Stdout) {
        let keep = |bytes: &[u8]| stderr.write_all(bytes);
        finished &= each_piece(context, request, OutputStream::Stderr, keep).await?;
    }
    let object = serde_json::json!({
        "CommandId": request.command_id,
        "InstanceId": request.instance_id,
        "PluginName": step,
        "StandardOutputContent": String::from_utf8_lossy(&stdout),
        "StandardErrorContent": String::from_utf8_lossy(&stderr),
        "Finished": finished,
    });
    context.output.text(&json_line(&object)?)?;
    Ok(finished)
}

/// Reads a stream to its end; whether the step had ended.
async fn each_piece(
    context: &mut Context,
    request: &mut GetCommandOutputRequest,
    stream: OutputStream,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<bool, Failure> {
    (request.stream, request.offset) = (stream, 0);
    loop {
        let piece: GetCommandOutputResult =
            context.call(Operation::GetCommandOutput, &*request).await?;
        let bytes = STANDARD
            .decode(&piece.data)
            .map_err(|e| Failure::BadDocument(format!("invalid answer of the gateway: {e}")))?;
        match take(&bytes) {
            Err(error) if is_reader_gone(&error) => return Ok(true),
            result => result.map_err(unwritten)?,
        }
        match piece.next_offset.filter(|next| *next > request.offset) {
            Some(next) => request.offset = next,
            None => return Ok(piece.finished),
        }
    }
}

/// Writes a stream to its end; whether the step had ended.
async fn written(
    context: &mut Context,
    request: &mut GetCommandOutputRequest,
    stream: OutputStream,
    mut to: Written<impl Write>,
) -> Result<bool, Failure> {
    let finished = each_piece(context, request, stream, |bytes| to.piece(bytes)).await?;
    match to.end() {
        Err(error) if !is_reader_gone(&error) => Err(unwritten(error)),
        _ => Ok(finished),
    }
}

fn unwritten(why: io::Error) -> Failure {
    Failure::Local { what: "cannot write the output".to_owned(), why }
}

/// One stream of a step on its way out.
struct Written<W> {
    to: W,
    /// To a terminal: bytes as text, characters whole that lie across two pieces.
    shown: Option<Decoder>,
}

impl<W: Write> Written<W> {
    fn to(to: W, terminal: bool) -> Self {
        Self { to, shown: terminal.then(Decoder::default) }
    }

    fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.shown {
            Some(decoder) => self.to.write_all(shown(&decoder.push(bytes)).as_bytes())?,
            None => self.to.write_all(bytes)?,
        }
        self.to.flush()
    }

    /// What is left of a character that never became whole.
    fn end(mut self) -> io::Result<()> {
        let rest = self.shown.as_mut().map(Decoder::flush).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        self.to.write_all(rest.as_bytes())?;
        self.to.flush()
    }
}

/// Output for a terminal: lines and tabs stay, other control characters become spaces.
fn shown(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || is_reordering(c) => ' ',
        c => c,
    };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]], terminal: bool) -> Vec<u8> {
        let mut to = Vec::new();
        let mut written = Written::to(&mut to, terminal);
        for piece in pieces {
            written.piece(piece).unwrap();
        }
        written.end().unwrap();
        to
    }

    #[test]
    fn a_terminal_gets_lines_and_no_control_sequences_and_a_file_gets_all_bytes() {
        let bytes = b"a\tb\n\x1b[2Jc\x00\xff";
        assert_eq!(all(&[bytes], false), bytes);
        assert_eq!(String::from_utf8(all(&[bytes], true)).unwrap(), "a\tb\n [2Jc \u{fffd}");
    }

    #[test]
    fn a_character_across_two_pieces_is_shown_whole() {
        let bytes = "é€😀".as_bytes();
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(all(&[first, second], true), bytes, "cut at {cut}");
        }
        assert_eq!(all(&[b"a\xe2", b"\x82"], true), "a\u{fffd}".as_bytes());
    }
}
