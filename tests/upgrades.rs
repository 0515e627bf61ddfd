//! The agent becomes another program while sessions are open: upgrades, downgrades, and programs
//! that do not work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scripted::{Gateway, is_alive, story};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use towline_wire::message::{
    Destination, EndReason, ExitStatus, Framing, FromAgent, Held, Launch, RefusalCode, ToAgent,
};

const AGENT: &str = env!("CARGO_BIN_EXE_towline-agent");

fn exec(script: &str) -> Launch {
    Launch::Exec { argv: ["sh", "-c", script].map(String::from).to_vec() }
}

fn shell(script: &str) -> Launch {
    Launch::Interactive { command: script.to_owned() }
}

fn exit_of(message: &FromAgent) -> Option<ExitStatus> {
    if let FromAgent::Exited { status, .. } = message { Some(*status) } else { None }
}

/// An agent that was started by a path whose file can be replaced.
async fn with_replaceable_agent() -> Gateway {
    let mut gateway = Gateway::new().await;
    gateway.configure("");
    gateway.enroll(&[]).await;
    gateway.program = gateway.path("agent");
    symlink(AGENT, &gateway.program).unwrap();
    gateway.start();
    gateway.welcome().await;
    gateway
}

/// Installs a script in the agent's place.
fn install(gateway: &Gateway, script: &str) {
    let new = gateway.path("agent.new");
    towline_agent::state::atomic::replace(&new, format!("#!/bin/sh\n{script}\n").as_bytes(), 0o755)
        .unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(new, &gateway.program).unwrap();
}

/// Installs the real program again.
fn install_agent(gateway: &Gateway) {
    let new = gateway.path("agent.new");
    symlink(AGENT, &new).unwrap();
    std::fs::rename(new, &gateway.program).unwrap();
}

fn renew(gateway: &Gateway) {
    kill(Pid::from_raw(gateway.agent_pid()), Signal::SIGHUP).unwrap();
}

/// Takes what still comes on the old link, and welcomes the successor's.
async fn successor(gateway: &mut Gateway) -> Vec<Held> {
    while gateway.step().await {}
    gateway.cut();
    gateway.inbox.clear(); // its messages come again
    // A program that ends just now is told of in between; `exited` says it as well.
    let held = |message| if let FromAgent::Held(held) = message { Some(held) } else { None };
    gateway.welcome().await.into_iter().filter_map(held).collect()
}

#[test]
fn a_shell_with_running_output_outlives_twenty_upgrades_byte_for_byte() {
    story(async || {
        let mut gateway = with_replaceable_agent().await;
        let (pid, boot) = (gateway.agent_pid(), gateway.boot);
        let count = "(i=0; while :; do echo $i; i=$((i+1)); done)";
        let script = format!("stty -echo; {count} & read -r x; kill $!; wait; echo end $x; exit 9");
        let operator = gateway.session("ann-1", &shell(&script)).await;
        gateway.until(operator, "0\r\n").await; // its terminal echoes nothing from here on
        for letter in "abcdefghijklmnopqrst".chars() {
            install_agent(&gateway);
            renew(&gateway);
            gateway.type_in(operator, &letter.to_string()).await;
            let held = successor(&mut gateway).await;
            assert_eq!(
                (held.len(), held[0].session.as_str(), held[0].exited),
                (1, "ann-1", None),
                "{letter}"
            );
            gateway.attach("ann-1", operator).await;
            gateway.flush().await;
        }
        gateway.type_in(operator, "\n").await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(9), "{}", gateway.log());
        gateway.until_end(operator).await;
        let output = String::from_utf8(gateway.operators[operator].output.clone()).unwrap();
        let (lines, end) = output.split_once("end").unwrap();
        assert_eq!(end, " abcdefghijklmnopqrst\r\n");
        let mut numbers = 0_usize;
        for line in lines.split_terminator("\r\n") {
            assert_eq!(line, numbers.to_string());
            numbers += 1;
        }
        assert!(numbers > 1_000, "there was hardly any output: {numbers} lines");
        assert_eq!((gateway.agent_pid(), gateway.boot), (pid, boot), "one process, one epoch");
        assert_eq!(gateway.log().matches("took over 1 sessions").count(), 20);
    });
}

#[test]
fn a_command_keeps_its_pipes_its_waiting_input_and_its_errors() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let script = "echo up; until [ -e \"$0\" ]; do sleep 0.02; done; cat; echo bad >&2; exit 3";
        let go = gateway.path("go").display().to_string();
        let launch =
            Launch::Exec { argv: vec!["sh".into(), "-c".into(), script.into(), go.clone()] };
        let slow = gateway.session("ann-1", &launch).await;
        gateway.until(slow, "up\n").await;
        // More than the pipe takes: the rest waits in the agent, through the exchange.
        let input = "0123456789abcde\n".repeat(7_000);
        gateway.type_in(slow, &input).await;
        gateway.end_input(slow).await;
        renew(&gateway);
        assert_eq!(successor(&mut gateway).await.len(), 1);
        std::fs::File::create(go).unwrap();
        gateway.attach("ann-1", slow).await;
        gateway.flush().await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(3), "{}", gateway.log());
        gateway.until_end(slow).await;
        assert_eq!(
            String::from_utf8_lossy(&gateway.operators[slow].output),
            format!("up\n{input}")
        );
        assert_eq!(gateway.operators[slow].errors, b"bad\n");
    });
}

#[test]
fn a_program_that_ends_while_the_agent_changes_is_not_missed() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        for turn in 0..12_u32 {
            let name = format!("ann-{turn}");
            // It ends at another moment of the exchange each time.
            let pause = format!("0.{:03}", turn * 7);
            let operator = gateway
                .session(&name, &exec(&format!("read x; sleep {pause}; echo bye; exit 4")))
                .await;
            gateway.type_in(operator, "go\n").await;
            renew(&gateway);
            let held = successor(&mut gateway).await;
            assert_eq!(held.len(), 1, "turn {turn}");
            gateway.attach(&name, operator).await;
            let exited = match held[0].exited {
                Some(status) => status,
                None => gateway.message(exit_of).await,
            };
            assert_eq!(exited, ExitStatus::Code(4), "turn {turn}");
            gateway.until_end(operator).await;
            assert_eq!(gateway.operators[operator].output, b"bye\n", "turn {turn}");
            gateway.send(&ToAgent::Forget { session: name }).await;
        }
    });
}

#[test]
fn what_a_session_started_is_ended_with_it_by_the_successor() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let script = "(trap '' HUP; echo $$; exec sleep 1000) & sleep 1000";
        let operator = gateway.session("ann-1", &exec(script)).await;
        gateway.until(operator, "\n").await;
        let child = String::from_utf8(gateway.operators[operator].output.clone()).unwrap();
        renew(&gateway);
        assert_eq!(successor(&mut gateway).await.len(), 1);
        kill(Pid::from_raw(gateway.agent_pid()), Signal::SIGTERM).unwrap();
        assert_eq!(gateway.agent_exit().await, Some(0));
        assert!(!is_alive(&child));
    });
}

#[test]
fn a_grant_that_was_used_before_the_upgrade_is_used_up_after_it() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let open = gateway.open("ann-1", &exec("true"), |_| ());
        gateway.send(&ToAgent::Open(open.clone())).await;
        gateway.message(exit_of).await;
        gateway.send(&ToAgent::Forget { session: "ann-1".into() }).await;
        renew(&gateway);
        assert!(successor(&mut gateway).await.is_empty());
        gateway.send(&ToAgent::Open(open)).await;
        let refusal = |message: &FromAgent| match message {
            FromAgent::NotOpened { code, text, .. } => Some((*code, text.clone())),
            _ => None,
        };
        let (code, text) = gateway.message(refusal).await;
        assert!(code == RefusalCode::Grant && text.contains("used before"), "{code:?}: {text}");
    });
}

#[test]
fn signals_that_come_during_the_exchange_wait_for_the_successor() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let operator =
            gateway.session("ann-1", &exec("echo up; while read -r x; do echo got $x; done")).await;
        gateway.until(operator, "up\n").await;
        for _ in 0..40 {
            renew(&gateway); // whatever the agent is about to do
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // The agent may be renewed once or twice more: such links are left at once.
        loop {
            assert_eq!(gateway.welcome_in_the_end().await.len(), 1);
            if gateway.try_attach("ann-1", operator).await && answers(&mut gateway, operator).await
            {
                break;
            }
        }
        assert!(gateway.log().contains("took over 1 sessions"));
    });
}

/// Whether a session answers on this link.
async fn answers(gateway: &mut Gateway, operator: usize) -> bool {
    gateway.type_in(operator, "it\n").await;
    while !gateway.operators[operator].output.ends_with(b"got it\n") {
        if !gateway.step().await {
            return false;
        }
    }
    true
}

/// With `script` installed, the agent stays what it is, says `word`, and its session goes on.
#[track_caller]
fn stays(script: &'static str, word: &'static str) {
    story(async || {
        let mut gateway = with_replaceable_agent().await;
        let operator = gateway
            .session("ann-1", &shell("stty -echo; echo up; read x; echo got $x; exit 5"))
            .await;
        gateway.until(operator, "up\r\n").await;
        install(&gateway, script);
        renew(&gateway);
        gateway.logged(word).await;
        gateway.type_in(operator, "it\n").await;
        gateway.until(operator, "got it").await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(5));
        let exe = std::fs::read_link(format!("/proc/{}/exe", gateway.agent_pid())).unwrap();
        assert_eq!(exe, Path::new(AGENT).canonicalize().unwrap());
    });
}

#[test]
fn a_program_that_ends_at_once_does_not_get_the_place_of_one_that_works() {
    stays("exit 1", "does not work here");
}

#[test]
fn a_program_that_crashes_does_not_get_the_place_of_one_that_works() {
    stays("kill -SEGV $$", "does not work here");
}

#[test]
fn settings_that_cannot_be_used_are_not_taken_over() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let operator = gateway.session("ann-1", &exec("read x; exit 5")).await;
        gateway.configure("sessions.max = \"many\"\n");
        renew(&gateway);
        gateway.logged("does not work here").await;
        assert!(gateway.log().contains("sessions.max"), "{}", gateway.log());
        gateway.type_in(operator, "go\n").await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(5));
    });
}

#[test]
fn what_cannot_be_executed_does_not_get_the_place_of_one_that_works() {
    story(async || {
        let mut gateway = with_replaceable_agent().await;
        let operator = gateway.session("ann-1", &exec("read x; exit 5")).await;
        std::fs::remove_file(&gateway.program).unwrap();
        renew(&gateway);
        gateway.logged("not restarting: cannot execute").await;
        gateway.type_in(operator, "go\n").await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(5));
    });
}

#[test]
fn a_program_that_knows_another_form_gets_its_turn_when_no_session_is_open() {
    story(async || {
        let mut gateway = with_replaceable_agent().await;
        let (pid, boot) = (gateway.agent_pid(), gateway.boot);
        let operator = gateway.session("ann-1", &exec("read x; exit 5")).await;
        install(
            &gateway,
            &format!("case \"$*\" in *takes-over*) exit 3;; esac; exec {AGENT} \"$@\""),
        );
        renew(&gateway);
        gateway.logged("restarting when 1 sessions have ended").await;
        gateway.type_in(operator, "go\n").await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(5));
        gateway.send(&ToAgent::Forget { session: "ann-1".into() }).await;
        assert!(successor(&mut gateway).await.is_empty());
        assert_eq!(gateway.agent_pid(), pid);
        assert_ne!(gateway.boot, boot, "a plain restart has a new boot nonce");
    });
}

#[test]
fn an_exec_that_fails_at_the_last_moment_costs_nothing() {
    story(async || {
        let mut gateway = with_replaceable_agent().await;
        let operator = gateway.session("ann-1", &exec("read x; exit 5")).await;
        // It answers the question, and is gone when it is to be executed.
        install(&gateway, "rm -f \"$0\"; exit 0");
        renew(&gateway);
        gateway.logged("the transfer failed").await;
        gateway.type_in(operator, "go\n").await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(5));
    });
}

#[test]
fn what_a_program_cannot_go_on_with_is_given_back_to_the_one_before_it() {
    story(async || {
        let mut gateway = Gateway::new().await;
        gateway.enroll(&[]).await;
        let echo = std::fs::File::open("/bin/echo").unwrap();
        let garbage = gateway.path("garbage");
        towline_agent::state::atomic::replace(&garbage, b"not what an agent writes", 0o600)
            .unwrap();
        let state = std::fs::File::open(garbage).unwrap();
        for left in [&echo, &state] {
            nix::fcntl::fcntl(left, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))
                .unwrap();
        }
        let number = std::os::fd::AsRawFd::as_raw_fd;
        let mut successor = gateway.command(&["run"]);
        successor.env("TOWLINE_HANDOVER", format!("{}:{}", number(&state), number(&echo)));
        let output = successor.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("cannot read the state of the predecessor"), "{said}");
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("run --config"), "{output:?}");
    });
}

#[test]
fn a_session_that_has_ended_and_one_that_is_being_ended_are_handed_over_again_and_again() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let ended = gateway.session("ann-1", &shell("stty -echo; echo bye; exit 4")).await;
        assert_eq!(gateway.message(exit_of).await, ExitStatus::Code(4));
        gateway.until_end(ended).await;
        gateway.flush().await;
        // It does not listen to the hang-up, so its end takes its time: longer than three
        // exchanges.
        let stubborn = gateway
            .session("ann-2", &exec("trap '' HUP; echo $$; while :; do sleep 1; done"))
            .await;
        gateway.until(stubborn, "\n").await;
        let pid = String::from_utf8(gateway.operators[stubborn].output.clone()).unwrap();
        gateway
            .send(&ToAgent::Close { session: "ann-2".into(), reason: EndReason::Terminated })
            .await;
        for turn in 0..3 {
            renew(&gateway);
            let held = successor(&mut gateway).await;
            let ended =
                held.iter().find(|held| held.session == "ann-1").expect("it was not forgotten");
            assert_eq!(ended.exited, Some(ExitStatus::Code(4)), "turn {turn}");
        }
        while is_alive(&pid) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn a_connection_through_a_tunnel_is_not_cut_the_exchange_waits_for_its_end() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = target.local_addr().unwrap().port();
        let to = Destination { host: None, port, framing: Framing::Single };
        let operator = gateway.session("ann-1", &Launch::Tunnel(to)).await;
        let (mut far, _) = target.accept().await.unwrap();
        let shell = gateway
            .session("ann-2", &shell("stty -echo; echo up; read x; echo got $x; exit 5"))
            .await;
        gateway.until(shell, "up\r\n").await;
        renew(&gateway);
        gateway.logged("as soon as no connection through a tunnel is open").await;
        far.write_all(b"still there").await.unwrap();
        gateway.until(operator, "still there").await;
        assert!(!gateway.log().contains("handing"), "{}", gateway.log());
        drop(far);
        let held = successor(&mut gateway).await;
        assert!(
            held.iter().any(|held| held.session == "ann-2" && held.exited.is_none()),
            "{held:?}"
        );
        gateway.attach("ann-2", shell).await;
        gateway.type_in(shell, "it\n").await;
        gateway.until(shell, "got it").await;
    });
}
