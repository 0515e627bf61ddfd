//! A bucket's server that says no, says "later", reads slowly: nothing is lost, nothing is given
//! up, no session waits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod sinks;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use towline_archive::Archive;
use towline_host::clock::Clock;

use sinks::{bucket, record, settings, until};

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// 403 and S3's words for it.
    Denies,
    /// 503 SlowDown.
    Busy,
    /// Takes 16 KiB at a time, with pauses.
    ReadsSlowly,
    /// Hangs up in the middle of the body.
    HangsUp,
    /// Takes everything.
    Takes,
}

/// A server of one bucket that keeps nothing but the names of what it took.
struct Server {
    endpoint: String,
    mood: Arc<Mutex<Mood>>,
    taken: Arc<Mutex<Vec<String>>>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            endpoint,
            mood: Arc::new(Mutex::new(mood)),
            taken: Arc::default(),
            requests: Arc::default(),
        };
        let (mood, taken) = (Arc::clone(&server.mood), Arc::clone(&server.taken));
        let requests = Arc::clone(&server.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take(10_000) {
                let (mood, taken, requests) =
                    (Arc::clone(&mood), Arc::clone(&taken), Arc::clone(&requests));
                // A client that hangs up is no news here.
                std::thread::spawn(move || serve(stream, &mood, &taken, &requests).ok());
            }
        });
        server
    }

    fn turns(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn has(&self, key: &str) -> bool {
        self.taken.lock().unwrap().iter().any(|taken| taken == key)
    }
}

/// One request a connection.
fn serve(
    stream: TcpStream,
    mood: &Mutex<Mood>,
    taken: &Mutex<Vec<String>>,
    requests: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0_u64);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let now = *mood.lock().unwrap();
    let piece = if now == Mood::ReadsSlowly { 16 * 1024 } else { length.max(1) };
    let mut left = if now == Mood::HangsUp { length / 2 } else { length };
    while left > 0 {
        let read = std::io::copy(&mut (&mut reader).take(piece.min(left)), &mut std::io::sink())?;
        left -= read;
        if read == 0 {
            return Ok(());
        }
        if now == Mood::ReadsSlowly {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let mut stream = reader.into_inner();
    let error = |status: &str, code: &str| {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
        );
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = match now {
        Mood::Denies => error("403 Forbidden", "AccessDenied"),
        Mood::Busy => error("503 Slow Down", "SlowDown"),
        Mood::HangsUp => return Ok(()),
        Mood::ReadsSlowly | Mood::Takes => {
            let key =
                first.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
            taken.lock().unwrap().push(key.to_owned());
            "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned()
        }
    };
    stream.write_all(answer.as_bytes())
}

fn outbox(dir: &Path) -> PathBuf {
    dir.join("evidence/outbox")
}

fn quarantine(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("evidence/quarantine")).unwrap().count()
}

/// A server in this mood, then one that takes everything: nothing is lost on the way.
async fn survives(mood: Mood) {
    let server = Server::start(mood);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), &bucket(&server.endpoint, ""));
    let (evidence, _failures) = Archive::start(dir.path(), settings, &Clock::system()).unwrap();
    for n in 0..5 {
        record(&evidence, &format!("ann-{n}"), 64 * 1024).await;
    }
    until("five recordings in the outbox", || {
        (0..5).all(|n| outbox(dir.path()).join(format!("ann-{n}.cast.gz")).exists())
    })
    .await;
    until("a server that was asked again and again", || {
        server.requests.load(Ordering::SeqCst) >= 6 || mood == Mood::HangsUp
    })
    .await;
    assert_eq!(quarantine(dir.path()), 0, "a server in trouble is no fault of the files");
    server.turns(Mood::Takes);
    until("an empty outbox", || {
        (0..5).all(|n| !outbox(dir.path()).join(format!("ann-{n}.cast.gz")).exists())
    })
    .await;
    assert!((0..5).all(|n| server.has(&format!("/evidence/ann-{n}.cast.gz"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_denies_access_is_asked_again_and_gets_all_when_it_relents() {
    survives(Mood::Denies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_is_asked_again_and_gets_all_when_it_is_not() {
    survives(Mood::Busy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_in_the_middle_is_asked_again() {
    survives(Mood::HangsUp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_reads_slowly_holds_up_no_session() {
    let server = Server::start(Mood::ReadsSlowly);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), &bucket(&server.endpoint, ""));
    let (evidence, _failures) = Archive::start(dir.path(), settings, &Clock::system()).unwrap();
    record(&evidence, "ann-slow", 8 * 1024 * 1024).await;
    until("the large recording in the outbox", || {
        outbox(dir.path()).join("ann-slow.cast.gz").exists()
    })
    .await;
    // While it is being read, sessions begin and end as ever.
    for n in 0..20 {
        record(&evidence, &format!("ann-{n}"), 1024).await;
    }
    until("twenty finished recordings", || {
        !(0..20).any(|n| evidence.recorder.is_recording(&format!("ann-{n}")))
    })
    .await;
    until("all of them at the server", || {
        server.has("/evidence/ann-slow.cast.gz")
            && (0..20).all(|n| server.has(&format!("/evidence/ann-{n}.cast.gz")))
    })
    .await;
    assert_eq!(quarantine(dir.path()), 0);
}
