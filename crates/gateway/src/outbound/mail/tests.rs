//! Conversations with servers of mail that play by the rules, and with such as do not, over a pipe
//! in memory. A real server: `tests/e2e/mail.rs`.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::conversation::Conversation;
use super::server::{LogIn, MailError};

const OFFERED: &str = "250-mail.example\r\n250-AUTH LOGIN PLAIN\r\n250 SIZE 1000000";

/// Has a server answer each line by the next reply of these, the first one before any line. What
/// came of the mail, and the lines that the server got.
async fn told(replies: &[&str], log_in: bool) -> (Result<(), MailError>, Vec<String>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let server = async {
        let (mut lines, mut far) = (Vec::new(), BufReader::new(far));
        for reply in replies {
            far.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
            let in_letter = reply.starts_with("354");
            let mut line = String::new();
            while far.read_line(&mut line).await.unwrap() > 0 && in_letter && line != ".\r\n" {
                lines.push(std::mem::take(&mut line));
            }
            lines.push(line);
        }
        lines
    };
    let client = async {
        let mut said = Conversation::over(near);
        said.greeting().await?;
        let offered = said.hello("[192.0.2.1]").await?;
        if log_in {
            let password = Zeroizing::new("geheim".to_owned());
            said.log_in(&offered, &LogIn { user: "ann".into(), password }).await?;
        }
        let (from, to) = ("a@b.example".parse().unwrap(), "c@d.example".parse().unwrap());
        said.deliver(&from, &to, "Subject: x\r\n\r\ndGV4dA==\r\n").await?;
        said.quit().await;
        Ok(())
    };
    let both = async { tokio::join!(client, server) };
    let (outcome, lines) = timeout(Duration::from_secs(60), both).await.expect("an end");
    (outcome, lines.iter().map(|line| line.trim_end().to_owned()).collect())
}

#[tokio::test]
async fn a_mail_is_handed_over_with_user_and_password() {
    let replies = ["220 hello", OFFERED, "235 ok", "250 ok", "250 ok", "354 go", "250 queued"];
    let (outcome, lines) = told(&replies, true).await;
    outcome.unwrap();
    let wanted = [
        "EHLO [192.0.2.1]",
        "AUTH PLAIN AGFubgBnZWhlaW0=",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<c@d.example>",
        "DATA",
        "Subject: x",
        "",
        "dGV4dA==",
        ".",
        "QUIT",
    ];
    assert_eq!(lines, wanted);
}

#[tokio::test]
async fn a_server_that_forwards_a_mail_has_taken_it() {
    let replies = ["220 x", OFFERED, "250 ok", "251 will forward", "354 go", "250 queued"];
    told(&replies, false).await.0.unwrap();
    let (outcome, _) = told(&["220 x", OFFERED, "251 no such reply to MAIL"], false).await;
    assert!(outcome.unwrap_err().to_string().contains("refused MAIL"));
}

#[tokio::test]
async fn a_server_that_takes_log_in_alone_gets_user_and_password_apart() {
    let offered = "250-mail.example\r\n250 auth login";
    let (outcome, lines) =
        told(&["220 x", offered, "334 VXNlcg==", "334 UA==", "535 no"], true).await;
    assert_eq!(lines[1..4], ["AUTH LOGIN", "YW5u", "Z2VoZWlt"]);
    assert_eq!(outcome.unwrap_err().to_string(), "the server refused AUTH: 535 no");
    let (outcome, _) = told(&["220 x", "250 mail.example"], true).await;
    assert!(matches!(outcome, Err(MailError::NoLogIn)), "{outcome:?}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words_without_what_hides_text() {
    let long = format!("550 {}", "no ".repeat(1000));
    for (replies, words) in [
        (vec!["421 busy"], "the server refused its greeting: 421 busy"),
        (vec!["220 x", OFFERED, "550 \u{202e}no\u{1b}[2J"], "refused MAIL: 550  no [2J"),
        (vec!["220 x", OFFERED, "250 ok", &long], "refused RCPT: 550 no no"),
        (vec!["220 x", OFFERED, "250 ok", "250 ok", "354 go", "554 spam"], "refused the mail: 554"),
    ] {
        let (outcome, _) = told(&replies, false).await;
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains(words) && text.len() < 300, "{text}");
    }
}

#[tokio::test]
async fn what_comes_before_tls_ends_the_conversation() {
    for (after_ehlo, after_start, words) in [
        ("250 mail.example", "", "does not offer STARTTLS"),
        ("250-mail.example\r\n250 STARTTLS", "454 no", "refused STARTTLS"),
        ("250-mail.example\r\n250 STARTTLS", "220 go\r\n250 AUTH PLAIN", "before TLS began"),
    ] {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let all = format!("220 x\r\n{after_ehlo}\r\n{after_start}\r\n");
        far.write_all(all.as_bytes()).await.unwrap();
        let mut said = Conversation::over(near);
        said.greeting().await.unwrap();
        let offered = said.hello("[192.0.2.1]").await.unwrap();
        let text = said.start_tls(&offered).await.unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_of_a_server_are_a_bounded_reply_or_an_error(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..300),
            "([2-5][0-9]{2}[ -][ -~]{0,20}\r\n){0,40}".prop_map(String::into_bytes),
            Just(b"250-x\r\n".repeat(20_000)),
            Just(vec![b'2'; 200_000]),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(256 * 1024);
            far.write_all(&bytes).await.unwrap();
            far.shutdown().await.unwrap();
            let mut said = Conversation::over(near);
            let asked = async {
                said.greeting().await?;
                said.hello("[192.0.2.1]").await.map(drop)
            };
            let _ = timeout(Duration::from_secs(60), asked).await.expect("an end");
            let mut rest = Vec::new();
            drop(said);
            let _ = far.read_to_end(&mut rest).await;
        });
    }
}
