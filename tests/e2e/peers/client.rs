//! A client of `towline.stream.1`, played by a test: it says what the test wants, in the order that
//! the test wants.

use std::net::TcpStream;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use towline_testkit::lab::{Device, Lab};
use towline_testkit::{Outcome, Trouble, https};
use towline_wire::client::{FromClient, SUBPROTOCOL, ToClient};
use towline_wire::frame::Frame;
use towline_wire::lane::Lanes;
use towline_wire::message::{decode, encode};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// How long a gateway may take for an answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// An open websocket.
pub(crate) type Channel = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// A session that somebody has asked for, and may be attached to.
pub(crate) struct Started {
    /// Its id.
    pub(crate) id: String,
    /// Where its stream is.
    pub(crate) url: String,
    /// What attaches to it, once.
    pub(crate) token: String,
}

fn text(answer: &serde_json::Value, name: &str) -> Outcome<String> {
    answer[name]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Trouble::new(format!("no {name} in the answer")))
}

/// Asks for a session.
pub(crate) fn start(lab: &Lab, device: &Device) -> Outcome<Started> {
    let started =
        lab.admin().api("AmazonSSM.StartSession", &serde_json::json!({ "Target": device.id() }))?;
    Ok(Started {
        id: text(&started, "SessionId")?,
        url: text(&started, "StreamUrl")?,
        token: text(&started, "TokenValue")?,
    })
}

/// Opens the websocket, and says nothing yet.
pub(crate) fn open(lab: &Lab, url: &str) -> Outcome<Channel> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse()?);
    let stream = https::connect(&lab.gateway.address().to_string(), lab.gateway.ca(), None)?;
    stream.sock.set_read_timeout(Some(PATIENCE))?;
    let (channel, _) = tungstenite::client(request, stream)
        .map_err(|e| Trouble::new(format!("no websocket: {e}")))?;
    Ok(channel)
}

/// Attaches anew, with room for a page; gives the answer.
pub(crate) fn attach(channel: &mut Channel, token: &str) -> Outcome<ToClient> {
    let attach = FromClient::Attach {
        token: token.to_owned(),
        received: None,
        room: Lanes::new(65_536, 65_536),
        size: None,
    };
    say(channel, &attach)?;
    hear(channel)
}

/// Sends a control message.
pub(crate) fn say(channel: &mut Channel, message: &FromClient) -> Outcome {
    send(channel, &Frame::Control(&encode(message)?))
}

/// Sends a frame.
pub(crate) fn send(channel: &mut Channel, frame: &Frame<'_>) -> Outcome {
    let mut bytes = Vec::new();
    frame.encode_body(&mut bytes);
    Ok(channel.send(Message::binary(bytes))?)
}

/// The gateway's next control message.
pub(crate) fn hear(channel: &mut Channel) -> Outcome<ToClient> {
    loop {
        match channel.read() {
            Ok(Message::Binary(bytes)) => {
                if let Frame::Control(body) = Frame::decode(&bytes)? {
                    return Ok(decode(body)?);
                }
            }
            Ok(Message::Close(_)) | Err(_) => {
                return Err(Trouble::new("the channel was closed without a word"));
            }
            Ok(_) => {}
        }
    }
}

/// A new token for a session that goes on: where its stream is, and the token.
pub(crate) fn resume(lab: &Lab, session: &str) -> Outcome<(String, String)> {
    let resumed =
        lab.admin().api("AmazonSSM.ResumeSession", &serde_json::json!({ "SessionId": session }))?;
    Ok((text(&resumed, "StreamUrl")?, text(&resumed, "TokenValue")?))
}
