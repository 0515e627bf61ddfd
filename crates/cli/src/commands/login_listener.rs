//! The listener of `towline login` on loopback: what a browser brings back from the gateway.
//!
//! Data flow: connections of browsers -> the first line of each -> a code, or a refusal -> the page
//! that the browser shows.
//!
//! # Invariants
//! - An answer with another state is refused, and the listener goes on waiting.
//! - A connection that sends nothing holds up no other one, and they are bounded.
//! - What the gateway says is text here: no markup in the page, no control characters in a
//!   terminal.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use towline_wire::text;

use super::refused_login::RefusedLogin;

/// Longest request line of a browser, bytes.
const MAX_LINE: usize = 8 * 1024;
/// Longest words of a refusal, characters.
const MAX_WORDS: usize = 1000;
/// Connections at a time: browsers open some that they may never use.
const MOST: usize = 8;
/// How long one of them may take for its request.
const REQUEST: Duration = Duration::from_secs(10);

/// What a browser brings.
type Brought = Result<String, RefusedLogin>;

/// Waits for the browser with the right state.
pub(super) async fn answer(listener: &TcpListener, state: &str) -> io::Result<Brought> {
    let state: Arc<str> = state.into();
    let mut browsers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if browsers.len() < MOST => {
                browsers.spawn(served(accepted?.0, Arc::clone(&state)));
            }
            Some(done) = browsers.join_next() => {
                if let Ok(Some(brought)) = done {
                    return Ok(brought);
                }
            }
        }
    }
}

/// Reads one request and answers it.
async fn served(mut stream: TcpStream, state: Arc<str>) -> Option<Brought> {
    let line = timeout(REQUEST, first_line(&mut stream)).await.ok()?.ok()?;
    let brought = brought(&line, &state);
    let (status, sentence) = match &brought {
        Some(Ok(_)) => ("200 OK", "You are signed in. Go back to the terminal.".to_owned()),
        Some(Err(refused)) => {
            ("403 Forbidden", format!("You are not signed in: {}", refused.message()))
        }
        None => ("400 Bad Request", "This is not the answer that towline waits for.".to_owned()),
    };
    let sentence = sentence.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body =
        format!("<!doctype html><meta charset=utf-8><title>towline</title><p>{sentence}</p>\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    // The browser may be gone, or never read.
    let _ = timeout(REQUEST, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
    brought
}

async fn first_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut chunk = [0; 1024];
    while line.len() < MAX_LINE && !line.contains(&b'\n') {
        match stream.read(&mut chunk).await? {
            0 => break,
            n => line.extend_from_slice(chunk.get(..n).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The code or the refusal in a request line, if its state is ours.
fn brought(line: &str, state: &str) -> Option<Brought> {
    let path = line.lines().next()?.strip_prefix("GET /callback?")?;
    let query = path.split(' ').next()?;
    let value =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    if value("state") != Some(state) {
        return None;
    }
    let plain = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if let Some(code) = value("code") {
        return Some(code).filter(plain).map(|code| Ok(code.to_owned()));
    }
    let code = value("error").filter(plain)?;
    let why = decoded(value("error_description").unwrap_or_default());
    Some(Err(RefusedLogin::in_browser(code, &text::plain(&why, MAX_WORDS))))
}

/// A value of a query without its percent-encoding.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, more @ ..] = rest {
        let pair = more.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = more.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{self, HasExitCode as _};

    #[test]
    fn a_code_comes_with_the_state_that_was_sent() {
        let code = |line| brought(line, "s1").and_then(Result::ok);
        let line = "GET /callback?code=a-B_1&state=s1 HTTP/1.1\r\nHost: x\r\n";
        assert_eq!(code(line).as_deref(), Some("a-B_1"));
        for wrong in [
            "GET /callback?code=a&state=s2 HTTP/1.1",
            "GET /callback?code=a HTTP/1.1",
            "GET /other?code=a&state=s1 HTTP/1.1",
            "POST /callback?code=a&state=s1 HTTP/1.1",
            "GET /callback?code=a%20b&state=s1 HTTP/1.1",
            "GET /callback?error=Denied&state=s2 HTTP/1.1",
            "GET /callback?error=a%20b&state=s1 HTTP/1.1",
            "",
        ] {
            assert!(brought(wrong, "s1").is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_comes_with_its_code_and_its_words_without_control_characters() {
        let line = "GET /callback?error=AccessDeniedException&\
                    error_description=no%20role%20%1b%5B2J%C3%A9%&state=s1 HTTP/1.1";
        let refused = brought(line, "s1").unwrap().unwrap_err();
        assert_eq!(refused.message(), "no role  [2Jé%");
        assert_eq!(refused.exit_code(), exit::DENIED);
        let line = "GET /callback?error=ThrottlingException&state=s1 HTTP/1.1";
        assert_eq!(brought(line, "s1").unwrap().unwrap_err().exit_code(), exit::REFUSED);
    }

    #[tokio::test]
    async fn a_connection_that_sends_nothing_holds_up_no_other_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let waits = async {
            let _silent = TcpStream::connect(to).await.unwrap();
            let mut browser = TcpStream::connect(to).await.unwrap();
            browser.write_all(b"GET /callback?code=c&state=s HTTP/1.1\r\n\r\n").await.unwrap();
            let mut page = String::new();
            browser.read_to_string(&mut page).await.unwrap();
            page
        };
        let (brought, page) = tokio::join!(answer(&listener, "s"), waits);
        assert_eq!(brought.unwrap().unwrap(), "c");
        assert!(page.contains("You are signed in"), "{page}");
    }

    #[tokio::test]
    async fn a_refusal_is_text_in_the_page() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let asks = async {
            let mut browser = TcpStream::connect(to).await.unwrap();
            let line = "GET /callback?error=E&error_description=%3Cb%3Eno&state=s HTTP/1.1\r\n\r\n";
            browser.write_all(line.as_bytes()).await.unwrap();
            let mut page = String::new();
            browser.read_to_string(&mut page).await.unwrap();
            page
        };
        let (brought, page) = tokio::join!(answer(&listener, "s"), asks);
        assert_eq!(brought.unwrap().unwrap_err().message(), "<b>no");
        assert!(page.starts_with("HTTP/1.1 403") && page.contains("&lt;b&gt;no"), "{page}");
    }
}
