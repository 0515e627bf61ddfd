//! The token of a session: it opens one data channel, once.

use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};
use towline_testkit::lab::{Device, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, https};
use towline_wire::client::{FromClient, SUBPROTOCOL, ToClient};
use towline_wire::frame::Frame;
use towline_wire::message::{decode, encode};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

type Channel = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// `StreamUrl` and `TokenValue` of a new session.
fn start(lab: &Lab, device: &Device) -> Outcome<(String, String)> {
    let started = lab.admin().api("AmazonSSM.StartSession", &serde_json::json!({ "Target": device.id() }))?;
    let text = |name: &str| {
        started[name].as_str().map(str::to_owned).ok_or_else(|| Trouble::new(format!("StartSession gave no {name}")))
    };
    Ok((text("StreamUrl")?, text("TokenValue")?))
}

fn open(lab: &Lab, url: &str) -> Outcome<Channel> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse()?);
    let stream = https::connect(&lab.gateway.address().to_string(), lab.gateway.ca(), None)?;
    let (channel, _) = tungstenite::client(request, stream).map_err(|e| Trouble::new(format!("no websocket: {e}")))?;
    Ok(channel)
}

fn attach(channel: &mut Channel, token: &str) -> Outcome<ToClient> {
    let attach = FromClient::Attach { token: token.to_owned(), received: None, room: [65_536; 2], size: None };
    say(channel, &attach)?;
    loop {
        match channel.read() {
            Ok(Message::Binary(bytes)) => {
                if let Frame::Control(body) = Frame::decode(&bytes)? {
                    return Ok(decode(body)?);
                }
            }
            Ok(Message::Close(_)) | Err(_) => return Err(Trouble::new("the channel was closed without a word")),
            Ok(_) => {}
        }
    }
}

fn say(channel: &mut Channel, message: &FromClient) -> Outcome {
    let body = encode(message)?;
    let mut bytes = Vec::new();
    Frame::Control(&body).encode_body(&mut bytes);
    Ok(channel.send(Message::binary(bytes))?)
}

#[test]
fn a_token_opens_one_channel_and_no_second_one() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (url, token) = start(&lab, &device)?;
    let mut first = open(&lab, &url)?;
    let answer = attach(&mut first, &token)?;
    ensure(matches!(answer, ToClient::Attached { .. }), || format!("{answer:?}"))?;
    let again = attach(&mut open(&lab, &url)?, &token)?;
    ensure(matches!(again, ToClient::Refused { taken_over: false, .. }), || format!("a used token: {again:?}"))?;
    // The first channel is not disturbed.
    say(&mut first, &FromClient::Close)
}

#[test]
fn a_token_is_for_its_own_session_only() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let ((one, _), (_, other_token)) = (start(&lab, &device)?, start(&lab, &device)?);
    let answer = attach(&mut open(&lab, &one)?, &other_token)?;
    ensure(matches!(answer, ToClient::Refused { .. }), || format!("{answer:?}"))
}

#[test]
fn a_guessed_token_opens_nothing_and_is_not_repeated_to_anybody() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (url, token) = start(&lab, &device)?;
    let guess: String = token.chars().rev().collect();
    let answer = attach(&mut open(&lab, &url)?, &guess)?;
    ensure(matches!(&answer, ToClient::Refused { text, .. } if !text.contains(&guess)), || format!("{answer:?}"))?;
    let logged = lab.gateway.logged();
    ensure(!logged.contains(&guess) && !logged.contains(&token), || "a token stands in the log".into())
}
