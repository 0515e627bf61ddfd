//! Commands of the whole cluster, as the API asks for them: this node's scheduler, a word to the
//! other nodes, and output that lies at another node.
//!
//! Data flow: API -> [`ClusterCommands`] -> this node -> the others are told to look. Output: this
//! node's files -> this node's sink -> files and sink of the node that carries the step -> those of
//! all others. Together they have [`EVERYBODY`].
//!
//! # Not here
//! - Who carries what: [`crate::run_command`] and the store.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use towline_archive::Sink;
use towline_ssm::ids::DeviceId;
use towline_wire::lane::{Lane, Lanes};

use super::calls::Calls;
use crate::limits::EVERYBODY;
use crate::plane::{Commands, OutputName, OutputPiece};

/// Commands of the cluster.
pub struct ClusterCommands {
    here: Arc<dyn Commands>,
    calls: Arc<Calls>,
    sink: Sink,
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
        None => sent(sink, &piece.object, piece.offset, most.io).await?,
    };
    Ok(found.map_or_else(Answer::default, |found| Answer {
        streams: [STANDARD.encode(found.bytes), String::new()],
        length: Some(found.length),
    }))
}

/// A piece of what is in the sink.
async fn sent(
    sink: &Sink,
    object: &str,
    offset: u64,
    most: u64,
) -> io::Result<Option<OutputPiece>> {
    let Some(length) = sink.length(object).await.map_err(io::Error::other)? else {
        return Ok(None);
    };
    let end = offset.saturating_add(most).min(length);
    if offset >= end {
        return Ok(Some(OutputPiece { bytes: Vec::new(), length }));
    }
    let bytes = sink.read(object, offset..end).await.map_err(io::Error::other)?;
    Ok(Some(OutputPiece { bytes, length }))
}

impl ClusterCommands {
    /// Over the commands of this node, which has this sink.
    #[must_use]
    pub fn new(here: Arc<dyn Commands>, calls: Arc<Calls>, sink: Sink) -> Self {
        Self { here, calls, sink }
    }

    /// The first answer of another node that `is_it`: of the node that carries the step, or else of
    /// all others at once.
    async fn ask(
        &self,
        question: &Question,
        is_it: impl Fn(&Answer) -> bool + Sync,
    ) -> Option<Answer> {
        let (calls, is_it, body) = (&self.calls, &is_it, &serde_json::to_value(question).ok()?);
        let ask = |node: String| async move {
            match calls.output(&node, body.clone()).await {
                Ok(answer) => serde_json::from_slice::<Answer>(&answer).ok().filter(is_it),
                Err(error) => {
                    tracing::warn!(node, error, "a gateway does not tell its output");
                    None
                }
            }
        };
        let asked = async {
            let order = calls.others_by_carrier(&question.command, &question.device).await;
            let mut nodes = order.into_iter();
            let first = timeout(EVERYBODY / 2, ask(nodes.next()?)).await;
            if let Some(answer) = first.ok().flatten() {
                return Some(answer);
            }
            let mut rest: FuturesUnordered<_> = nodes.map(ask).collect();
            while let Some(answer) = rest.next().await {
                if answer.is_some() {
                    return answer;
                }
            }
            None
        };
        timeout(EVERYBODY, asked).await.ok().flatten()
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
            let object = what.object.clone();
            if let Some(piece) = self.here.local_output(what, offset, most).await? {
                return Ok(Some(piece));
            }
            match sent(&self.sink, &object, offset, most).await {
                Ok(Some(piece)) => return Ok(Some(piece)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the sink does not answer: other gateways are asked");
                }
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
