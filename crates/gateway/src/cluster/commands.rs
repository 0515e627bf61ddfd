//! Commands of the whole cluster, as the API asks for them: this node's scheduler, a word to the
//! other nodes, and output that lies at another node.
//!
//! Data flow: API -> [`ClusterCommands`] -> this node -> the others are told to look. Output: this
//! node's files -> files and sink of each other node -> what the API reads from this node's sink.
//!
//! # Not here
//! - Who carries what: [`crate::run_command`] and the store.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use towline_archive::Sink;
use towline_ssm::ids::DeviceId;
use towline_wire::lane::{Lane, Lanes};

use super::calls::Calls;
use crate::plane::{Commands, OutputName, OutputPiece};

/// Commands of the cluster.
pub struct ClusterCommands {
    here: Arc<dyn Commands>,
    calls: Arc<Calls>,
}

/// What is asked of a step's output at another node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    command: String,
    device: String,
    folder: String,
    /// A piece of one stream; without it the beginnings of both, of a step that runs.
    piece: Option<AskedPiece>,
    /// Bytes of each stream.
    most: [u64; 2],
}

#[derive(Debug, Serialize, Deserialize)]
struct AskedPiece {
    is_stderr: bool,
    object: String,
    offset: u64,
}

/// Its answer: bytes of each stream in base 64, and the whole length of what was asked for, if it
/// is there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    streams: [String; 2],
    length: Option<u64>,
}

/// What this node has of it, on its disk or in its sink.
pub(super) async fn answer(
    here: &dyn Commands,
    sink: &Sink,
    asked: Question,
) -> io::Result<Answer> {
    let most = Lanes::new(asked.most[0], asked.most[1]);
    let Some(piece) = asked.piece else {
        let heads = here.running_output(&asked.command, &asked.device, &asked.folder, most).await;
        let streams = [STANDARD.encode(heads.io), STANDARD.encode(heads.err)];
        return Ok(Answer { streams, length: None });
    };
    let what = OutputName {
        command: asked.command,
        device: asked.device,
        folder: asked.folder,
        lane: if piece.is_stderr { Lane::Err } else { Lane::Io },
        object: piece.object.clone(),
    };
    let found = match here.local_output(what, piece.offset, most.io).await? {
        Some(found) => Some(found),
        None => sent(sink, &piece, most.io).await?,
    };
    Ok(found.map_or_else(Answer::default, |found| Answer {
        streams: [STANDARD.encode(found.bytes), String::new()],
        length: Some(found.length),
    }))
}

async fn sent(sink: &Sink, piece: &AskedPiece, most: u64) -> io::Result<Option<OutputPiece>> {
    let Some(length) = sink.length(&piece.object).await.map_err(io::Error::other)? else {
        return Ok(None);
    };
    let end = piece.offset.saturating_add(most).min(length);
    if piece.offset >= end {
        return Ok(Some(OutputPiece { bytes: Vec::new(), length }));
    }
    let bytes = sink.read(&piece.object, piece.offset..end).await.map_err(io::Error::other)?;
    Ok(Some(OutputPiece { bytes, length }))
}

impl ClusterCommands {
    /// Over the commands of this node.
    #[must_use]
    pub fn new(here: Arc<dyn Commands>, calls: Arc<Calls>) -> Self {
        Self { here, calls }
    }

    /// The first answer of another node that `is_it`.
    async fn ask(&self, question: &Question, is_it: impl Fn(&Answer) -> bool) -> Option<Answer> {
        for node in self.calls.directory().others() {
            let question = serde_json::to_value(question).ok()?;
            match self.calls.output(&node, question).await {
                Ok(answer) => {
                    let answer: Option<Answer> = serde_json::from_slice(&answer).ok();
                    if let Some(answer) = answer.filter(&is_it) {
                        return Some(answer);
                    }
                }
                Err(error) => tracing::warn!(node, error, "a gateway does not tell its output"),
            }
        }
        None
    }
}

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

impl Commands for ClusterCommands {
    fn sent(&self, id: &str) -> BoxFuture<'_, ()> {
        let id = id.to_owned();
        Box::pin(async move {
            self.here.sent(&id).await;
            self.calls.commands_changed();
        })
    }

    fn cancel(&self, id: &str, devices: Option<Vec<String>>) -> BoxFuture<'_, ()> {
        let id = id.to_owned();
        Box::pin(async move {
            self.here.cancel(&id, devices).await;
            self.calls.commands_changed();
        })
    }

    fn look(&self) -> BoxFuture<'_, ()> {
        self.here.look()
    }

    fn device_removed(&self, device: &DeviceId) -> BoxFuture<'_, ()> {
        let device = device.clone();
        Box::pin(async move {
            self.here.device_removed(&device).await;
            self.calls.commands_changed();
        })
    }

    fn running_output(
        &self,
        id: &str,
        device: &str,
        folder: &str,
        most: Lanes<u64>,
    ) -> BoxFuture<'_, Lanes<Vec<u8>>> {
        let question = Question {
            command: id.to_owned(),
            device: device.to_owned(),
            folder: folder.to_owned(),
            piece: None,
            most: [most.io, most.err],
        };
        Box::pin(async move {
            let Question { command, device, folder, .. } = &question;
            let here = self.here.running_output(command, device, folder, most).await;
            if !here.io.is_empty() || !here.err.is_empty() {
                return here;
            }
            let found = |answer: &Answer| answer.streams.iter().any(|text| !text.is_empty());
            let [io, err] = self.ask(&question, found).await.unwrap_or_default().streams;
            Lanes::new(bytes(&io), bytes(&err))
        })
    }

    fn local_output(
        &self,
        what: OutputName,
        offset: u64,
        most: u64,
    ) -> BoxFuture<'_, io::Result<Option<OutputPiece>>> {
        let question = Question {
            command: what.command.clone(),
            device: what.device.clone(),
            folder: what.folder.clone(),
            piece: Some(AskedPiece {
                is_stderr: what.lane == Lane::Err,
                object: what.object.clone(),
                offset,
            }),
            most: [most, 0],
        };
        Box::pin(async move {
            if let Some(piece) = self.here.local_output(what, offset, most).await? {
                return Ok(Some(piece));
            }
            let answer = self.ask(&question, |answer| answer.length.is_some()).await;
            Ok(answer.and_then(|answer| {
                let length = answer.length?;
                Some(OutputPiece { bytes: bytes(&answer.streams[0]), length })
            }))
        })
    }

    fn accepts_bucket(&self, bucket: &str) -> Result<(), String> {
        self.here.accepts_bucket(bucket)
    }

    fn accepts_logs(&self) -> Result<(), String> {
        self.here.accepts_logs()
    }

    fn url(&self, object: &str) -> String {
        self.here.url(object)
    }

    fn outputs_prefix(&self) -> String {
        self.here.outputs_prefix()
    }
}
