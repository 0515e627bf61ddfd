//! The agent's real binary against a scripted gateway: enrollment, sessions, refusals, lost links,
//! the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scripted::{DEVICE, Gateway, NOW_MS, is_alive, story};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use towline_wire::frame::Frame;
use towline_wire::grant::Grant;
use towline_wire::message::{
    EndReason, ExitStatus, FromAgent, Held, Launch, RefusalCode, Size, ToAgent,
};

fn exec(script: &str) -> Launch {
    Launch::Exec { argv: ["sh", "-c", script].map(String::from).to_vec() }
}

fn exit_of(message: &FromAgent) -> Option<ExitStatus> {
    if let FromAgent::Exited { status, .. } = message { Some(*status) } else { None }
}

fn refusal_of(message: &FromAgent) -> Option<(RefusalCode, String)> {
    if let FromAgent::NotOpened { code, text, .. } = message {
        Some((*code, text.clone()))
    } else {
        None
    }
}

#[test]
fn a_device_is_enrolled_and_says_so_and_stays_where_it_is() {
    story(async || {
        let mut gateway = Gateway::new().await;
        let output = gateway.enroll(&["--name", "pump-7", "--tag", "site=north"]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && text.starts_with(&format!("enrolled as {DEVICE}\n")),
            "{text}"
        );

        let status = gateway.command(&["status", "--json"]).output().unwrap();
        let status = String::from_utf8(status.stdout).unwrap();
        assert!(
            status.starts_with("{\"enrolled\":true,\"running\":false,\"device\":\"mi-"),
            "{status}"
        );

        let again = gateway.command(&["enroll", "--gateway", "elsewhere", "--activation-id", "i"]);
        let mut again = again;
        let output = again.env("TOWLINE_ACTIVATION_CODE", "c").output().unwrap();
        assert_eq!(output.status.code(), Some(77));
        assert!(String::from_utf8(output.stderr).unwrap().contains("--reenroll"));
    });
}

#[test]
fn a_pinned_gateway_is_trusted_by_its_key_and_another_is_not() {
    story(async || {
        let mut gateway = Gateway::new().await;
        let pin = gateway.pin.clone();
        assert!(gateway.enroll(&["--pin", &pin]).await.status.success());
        gateway.start();
        gateway.welcome().await;

        let mut other = Gateway::new().await;
        let address = format!("localhost:{}", other.port());
        let wrong = ["enroll", "--gateway", &address, "--activation-id", "i", "--pin", &pin];
        let mut command = other.command(&wrong);
        command.env("TOWLINE_ACTIVATION_CODE", "c");
        std::fs::File::create_new(other.path("agent.toml")).unwrap();
        let (output, ()) = tokio::join!(
            async { tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap() },
            async {
                let (tcp, _) = other.accept_tcp().await;
                other.handshake_fails(tcp).await;
            }
        );
        assert_eq!(output.status.code(), Some(69), "{output:?}");
    });
}

#[test]
fn a_shell_answers_knows_its_size_and_tells_its_exit_code() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let shell = gateway.session("ann-1", &Launch::Shell).await;
        gateway
            .send(&ToAgent::Resize { session: "ann-1".into(), size: Size { rows: 50, cols: 211 } })
            .await;
        gateway.type_in(shell, "stty size; echo $TERM-ünï; exit 7\n").await;
        gateway.until(shell, "50 211").await;
        gateway.until(shell, "xterm-ünï").await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(7));
        gateway.until_end(shell).await;
    });
}

#[test]
fn a_command_keeps_its_three_streams_apart_and_sees_the_end_of_its_input() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let command = gateway.session("ann-1", &exec("echo oops >&2; wc -c; exit 3")).await;
        let text = "0123456789".repeat(20_000);
        gateway.type_in(command, &text).await;
        gateway.end_input(command).await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(3));
        gateway.until_end(command).await;
        assert_eq!(gateway.operators[command].output, b"200000\n");
        assert_eq!(gateway.operators[command].errors, b"oops\n");
    });
}

#[test]
fn a_signal_reaches_a_command_and_what_killed_it_is_told() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let command = gateway.session("ann-1", &exec("echo ready; exec sleep 1000")).await;
        gateway.until(command, "ready").await;
        gateway.send(&ToAgent::Signal { session: "ann-1".into(), signal: 15 }).await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Signal(15));
    });
}

#[test]
fn a_program_that_cannot_run_is_refused_by_its_name() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let open = gateway.open("ann-1", &Launch::Exec { argv: vec!["/no/such".into()] }, |_| ());
        gateway.send(&ToAgent::Open(open)).await;
        let (code, text) = gateway.message(refusal_of).await;
        assert_eq!(code, RefusalCode::Spawn);
        assert!(text.starts_with("cannot run /no/such: ENOENT"), "{text}");
    });
}

#[test]
fn grants_that_are_not_for_this_device_session_time_or_boot_open_nothing() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        type Change = fn(&mut Grant);
        let changes: [(Change, &str); 4] = [
            (|grant| grant.device = "mi-other".into(), "device mi-other"),
            (|grant| grant.session = "bob-1".into(), "session bob-1"),
            (|grant| (grant.issued_at, grant.not_after) = (NOW_MS - 60_000, NOW_MS - 1), "expired"),
            (|grant| grant.boot = [9; 16], "earlier start"),
        ];
        for (change, expected) in changes {
            let open = gateway.open("ann-1", &Launch::Shell, change);
            gateway.send(&ToAgent::Open(open)).await;
            let (code, text) = gateway.message(refusal_of).await;
            assert_eq!(code, RefusalCode::Grant);
            assert!(text.contains(expected), "{text}");
            gateway.logged(expected).await;
        }
        let mut altered = gateway.open("ann-1", &Launch::Shell, |_| ());
        altered.grant.grant[20] ^= 1;
        gateway.send(&ToAgent::Open(altered)).await;
        assert!(gateway.message(refusal_of).await.1.contains("not signed by the authority"));
    });
}

#[test]
fn a_grant_that_was_used_opens_nothing_again_when_its_session_is_over() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let open = gateway.open("ann-1", &exec("true"), |_| ());
        gateway.send(&ToAgent::Open(open.clone())).await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(0));
        gateway.send(&ToAgent::Forget { session: "ann-1".into() }).await;
        gateway.send(&ToAgent::Open(open)).await;
        let (code, text) = gateway.message(refusal_of).await;
        assert_eq!((code, text.as_str()), (RefusalCode::Grant, "the grant was used before"));
    });
}

#[test]
fn the_device_s_own_policy_has_the_last_word() {
    story(async || {
        let mut gateway =
            Gateway::with_agent("[policy]\nallowed_documents = [\"Nothing-*\"]\n").await;
        let open = gateway.open("ann-1", &Launch::Shell, |_| ());
        gateway.send(&ToAgent::Open(open)).await;
        let (code, text) = gateway.message(refusal_of).await;
        assert_eq!(code, RefusalCode::DevicePolicy);
        assert!(text.contains("policy.allowed_documents"), "{text}");
    });
}

#[test]
fn with_refuse_sessions_none_begins_while_records_of_commands_are_about_to_be_dropped() {
    story(async || {
        let settings = "[audit]\nwhen_full = \"refuse-sessions\"\nspool_bytes = 0\n";
        let mut gateway = Gateway::with_agent(settings).await;
        // Records of some 1,100 bytes, none of them confirmed: memory for them is 256 KiB.
        let fill = "a=$(head -c 1000 /dev/zero | tr '\\0' x); for n in 1 2 3 4; do for m in $(seq \
                    100); do /bin/true $a; done; done";
        let filler = gateway.session("ann-0", &exec(fill)).await;
        gateway.until_end(filler).await;
        let mut n = 0;
        let text = loop {
            n += 1;
            let open = gateway.open(&format!("ann-{n}"), &exec("exit 0"), |_| ());
            gateway.send(&ToAgent::Open(open)).await;
            let answer = gateway
                .message(|message| match message {
                    FromAgent::Opened { .. } => Some(None),
                    FromAgent::NotOpened { code: RefusalCode::RateLimited, text, .. } => {
                        Some(Some(text.clone()))
                    }
                    _ => None,
                })
                .await;
            // The last records may still be on their way to memory, and a session needs a moment to
            // go.
            if let Some(text) = answer {
                break text;
            }
            gateway
                .send(&ToAgent::Close {
                    session: format!("ann-{n}"),
                    reason: EndReason::Terminated,
                })
                .await;
            gateway.send(&ToAgent::Forget { session: format!("ann-{n}") }).await;
        };
        assert!(text.contains("when_full"), "{text}");
        // A gateway that stores them makes room.
        loop {
            if let Some((boot, next)) = gateway.logged_to.take() {
                gateway.send(&ToAgent::LogStored { boot, next }).await;
            }
            n += 1;
            let open = gateway.open(&format!("ann-{n}"), &exec("exit 0"), |_| ());
            gateway.send(&ToAgent::Open(open)).await;
            let opened = gateway
                .message(|message| match message {
                    FromAgent::Opened { .. } => Some(true),
                    FromAgent::NotOpened { .. } => Some(false),
                    _ => None,
                })
                .await;
            if opened {
                break;
            }
        }
    });
}

#[test]
fn eight_sessions_run_at_once_and_a_ninth_is_refused() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        for i in 0..8 {
            let shell = gateway.session(&format!("ann-{i}"), &exec("read x; echo got $x")).await;
            assert_eq!(shell, i);
        }
        let open = gateway.open("ann-8", &Launch::Shell, |_| ());
        gateway.send(&ToAgent::Open(open)).await;
        assert_eq!(gateway.message(refusal_of).await.0, RefusalCode::TooManySessions);
        for i in 0..8 {
            gateway.type_in(i, &format!("{i}\n")).await;
            gateway.until(i, &format!("got {i}\n")).await;
        }
    });
}

#[test]
fn no_byte_is_lost_or_doubled_when_the_link_is_cut_again_and_again() {
    const LINES: usize = 200_000;
    story(async || {
        let mut gateway = Gateway::with_agent("[gateway]\nreconnect_max = \"1s\"\n").await;
        let command = gateway
            .session("ann-1", &exec(&format!("read x; seq {LINES}; read y; echo $x$y")))
            .await;
        gateway.type_in(command, "one\n").await;
        for cut in 0..12 {
            let wanted = gateway.operators[command].output.len() + 1 + cut * 7_919;
            while gateway.operators[command].output.len() < wanted
                && !gateway.operators[command].output_ended
            {
                assert!(gateway.step().await);
            }
            gateway.cut();
            let held = gateway.welcome().await;
            let [FromAgent::Held(Held { session, exited: None, .. })] = &held[..] else {
                panic!("{held:?}")
            };
            assert_eq!(session, "ann-1");
            gateway.attach("ann-1", command).await;
        }
        gateway.type_in(command, "two\n").await;
        gateway.until_end(command).await;
        let expected: String =
            (1..=LINES).map(|n| format!("{n}\n")).chain(["onetwo\n".to_owned()]).collect();
        assert!(gateway.operators[command].output == expected.as_bytes(), "the transcript differs");
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(0));
    });
}

#[test]
fn what_ended_without_a_link_is_told_on_the_next_one() {
    story(async || {
        let mut gateway = Gateway::with_agent("[gateway]\nreconnect_max = \"1s\"\n").await;
        let command = gateway.session("ann-1", &exec("read x; sleep 0.1; echo late; exit 4")).await;
        gateway.type_in(command, "go\n").await;
        gateway.cut();
        gateway.logged("session{id=ann-1}: ended").await;
        let held = gateway.welcome().await;
        let exited = Some(ExitStatus::Code(4));
        assert!(matches!(&held[..], [FromAgent::Held(held)] if held.exited == exited), "{held:?}");
        gateway.attach("ann-1", command).await;
        gateway.until_end(command).await;
        assert_eq!(gateway.operators[command].output, b"late\n");
    });
}

#[test]
fn sessions_end_when_nobody_comes_back_within_the_grace_time() {
    story(async || {
        let mut gateway =
            Gateway::with_agent("[sessions]\ngrace = \"1s\"\n[gateway]\nreconnect_max = \"1s\"\n")
                .await;
        let command = gateway.session("ann-1", &exec("echo $$; exec sleep 1000")).await;
        gateway.until(command, "\n").await;
        let pid = String::from_utf8(gateway.operators[command].output.clone()).unwrap();
        assert!(is_alive(&pid));
        gateway.cut();
        gateway.logged("ending 1 sessions").await;
        let held = gateway.welcome().await;
        assert_eq!(held, []);
        while is_alive(&pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_session_closed_by_the_gateway_is_hung_up_and_then_forgotten() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let shell = gateway.session("ann-1", &Launch::Shell).await;
        gateway.type_in(shell, "echo pid:$$:\n").await;
        gateway.until(shell, "pid:").await;
        gateway
            .send(&ToAgent::Close { session: "ann-1".into(), reason: EndReason::Terminated })
            .await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Signal(1));
        gateway.send(&ToAgent::Forget { session: "ann-1".into() }).await;
        gateway
            .send(&ToAgent::Close { session: "ann-1".into(), reason: EndReason::Terminated })
            .await;
        let gone = gateway
            .message(|m| if let FromAgent::Gone { reason, .. } = m { Some(*reason) } else { None })
            .await;
        assert_eq!(gone, EndReason::DeviceGone);
    });
}

#[test]
fn an_end_that_breaks_the_rules_of_a_stream_ends_that_session_only() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let bad = gateway.session("bad-1", &exec("sleep 1000")).await;
        let good = gateway.session("good-1", &exec("cat")).await;
        let stream = gateway.operators[bad].io;
        gateway.send_frame(&Frame::Credit { stream, acked: 1 << 40, limit: 1 << 41 }).await;
        let gone = gateway
            .message(|m| if let FromAgent::Gone { reason, .. } = m { Some(*reason) } else { None })
            .await;
        assert_eq!(gone, EndReason::Violation);
        gateway.type_in(good, "still here\n").await;
        gateway.until(good, "still here\n").await;
    });
}

#[test]
fn garbage_ends_the_link_and_not_the_agent() {
    story(async || {
        let mut gateway = Gateway::with_agent("[gateway]\nreconnect_max = \"1s\"\n").await;
        for garbage in [&[0_u8, 0][..], &[0xff; 64], &[0, 3, 0, 0xee, 0xee]] {
            gateway.send_bytes(garbage).await;
            while gateway.step().await {}
            gateway.cut();
            gateway.welcome().await;
        }
    });
}

#[test]
fn a_gateway_that_cannot_prove_the_time_is_not_believed() {
    story(async || {
        let mut gateway = Gateway::new().await;
        gateway.enroll(&[]).await;
        gateway.start();
        gateway.accept().await;
        let FromAgent::Hello(mut hello) = gateway.next_message().await else { panic!("no hello") };
        hello.challenge = [0; 16];
        gateway.greet(&hello).await;
        while gateway.step().await {}
        gateway.logged("is not signed by the authority").await;
    });
}

#[test]
fn told_to_stop_the_agent_ends_its_sessions_and_leaves_nothing() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let command =
            gateway.session("ann-1", &exec("(trap '' HUP; echo $$; exec sleep 1000)")).await;
        gateway.until(command, "\n").await;
        let pid = String::from_utf8(gateway.operators[command].output.clone()).unwrap();
        kill(Pid::from_raw(gateway.agent_pid()), Signal::SIGTERM).unwrap();
        assert_eq!(gateway.agent_exit().await, Some(0));
        assert!(!is_alive(&pid));
        assert!(
            !gateway.path("run").read_dir().unwrap().any(|entry| entry.is_ok()),
            "the status file was left"
        );
    });
}

#[test]
fn while_linked_there_is_one_thread_and_the_status_says_up() {
    story(async || {
        let gateway = Gateway::with_agent("").await;
        // The thread that looked the gateway's name up may be on its way out.
        let path = format!("/proc/{}/status", gateway.agent_pid());
        while !std::fs::read_to_string(&path).unwrap().contains("\nThreads:\t1\n") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let json = gateway.command(&["status", "--json"]).output().unwrap();
        let json = String::from_utf8(json.stdout).unwrap();
        assert!(json.contains("\"running\":true") && json.contains("\"link\":\"up\""), "{json}");
    });
}

#[test]
fn a_second_agent_with_the_same_state_does_not_start() {
    story(async || {
        let gateway = Gateway::with_agent("").await;
        let second = gateway.command(&["run"]).output().unwrap();
        assert_eq!(second.status.code(), Some(78));
        assert!(
            String::from_utf8(second.stderr).unwrap().contains("another towline-agent is running")
        );
    });
}

#[test]
fn through_a_proxy_with_a_password_the_link_is_the_same() {
    story(async || {
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut gateway = Gateway::new().await;
        gateway.enroll(&[]).await;
        let url = format!("http://ann:secret@{}", proxy.local_addr().unwrap());
        gateway.start_with(&[("HTTPS_PROXY", &url)]);
        let target = format!("localhost:{}", gateway.port());
        let serve = async {
            let (mut from, _) = proxy.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(from.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{head}");
            assert!(head.contains("Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n"), "{head}");
            let mut to = tokio::net::TcpStream::connect(&target).await.unwrap();
            from.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut from, &mut to).await;
        };
        tokio::select! {
            () = serve => panic!("the proxy ended"),
            _ = gateway.welcome() => {}
        }
        assert!(!gateway.log().contains("secret"));
    });
}

#[test]
fn a_gateway_that_is_away_is_dialled_until_it_is_back() {
    story(async || {
        let mut gateway = Gateway::with_agent("[gateway]\nreconnect_max = \"1s\"\n").await;
        let address = gateway.listener.local_addr().unwrap();
        gateway.listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Nobody who asks for any port is given this one meanwhile.
        let kept = tokio::net::TcpSocket::new_v4().unwrap();
        kept.set_reuseaddr(true).unwrap();
        kept.bind(address).unwrap();
        gateway.cut();
        gateway.logged("cannot connect to").await;
        gateway.listener = tokio::net::TcpListener::bind(address).await.unwrap();
        gateway.welcome().await;
    });
}

#[test]
fn a_gateway_that_asks_for_a_pause_gets_it() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let start = tokio::time::Instant::now(); // before the agent can begin its pause
        gateway.send(&ToAgent::GoAway { retry_after: 2 }).await;
        while gateway.step().await {}
        gateway.cut();
        gateway.welcome().await;
        assert!(start.elapsed() >= Duration::from_secs(2));
    });
}
