//! What wakes an agent: a terminal that takes input again does so only while input waits for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use scripted::{Gateway, story};
use std::time::Duration;
use towline_wire::frame::Frame;
use towline_wire::message::Launch;

/// `EPOLLOUT` of the kernel.
const TELLS_ROOM: u32 = 4;
/// What POSIX `cksum` says of the digits, 13,000 times.
const CHECKSUM: &str = "3409232711 130000";
/// How soon a fact without an event is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What the agent asked the kernel to tell room in, without its connections: those tell it only
/// after they were full.
fn awaited(gateway: &Gateway) -> Vec<String> {
    let process = format!("/proc/{}", gateway.agent_pid());
    let name = |number: &str| {
        let to = std::fs::read_link(format!("{process}/fd/{number}")).ok()?;
        Some(to.display().to_string())
    };
    let open = std::fs::read_dir(format!("{process}/fd")).unwrap().flatten();
    let open = open.filter_map(|fd| fd.file_name().into_string().ok());
    let mut found = std::collections::BTreeSet::new();
    for poll in open.filter(|number| name(number).is_some_and(|to| to.contains("[eventpoll]"))) {
        let watched = std::fs::read_to_string(format!("{process}/fdinfo/{poll}")).unwrap();
        // tfd:       14 events:     2019 data: ...
        for line in watched.lines().filter_map(|line| line.strip_prefix("tfd:")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let events = u32::from_str_radix(words[2], 16).unwrap();
            let to = name(words[0]).unwrap_or_default();
            if events & TELLS_ROOM != 0 && !to.starts_with("socket:") {
                found.insert(to);
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn room_in_a_terminal_is_waited_for_only_while_input_waits_and_nothing_is_lost() {
    story(async || {
        let mut gateway = Gateway::with_agent("").await;
        let go = gateway.path("go");
        let command = format!(
            "stty raw -echo; echo ready-$((40+2)); until [ -e {} ]; do sleep 0.02; done; \
             head -c 130000 | cksum; exec cat",
            go.display()
        );
        let typed = gateway.session("ann-1", &Launch::Interactive { command }).await;
        gateway.until(typed, "ready-42").await;
        assert_eq!(awaited(&gateway), [""; 0], "nothing waits");
        gateway.type_in(typed, &"0123456789".repeat(13_000)).await;
        while awaited(&gateway) != ["/dev/ptmx"] {
            // Credits come for what the terminal has taken; the answer comes in any case.
            gateway.send_frame(&Frame::Ping { next_in: 0 }).await;
            assert!(gateway.step().await, "the agent closed the link");
        }
        std::fs::File::create_new(go).unwrap();
        gateway.until(typed, CHECKSUM).await;
        while !awaited(&gateway).is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await; // the story has a limit
        }
        gateway.type_in(typed, "still here").await;
        gateway.until(typed, "still here").await;
    });
}
