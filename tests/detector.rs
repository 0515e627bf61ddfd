//! Command lines read off recorded terminals. Each stream was recorded from a real shell by
//! `tests/streams/record.py`; a misreading seen in the field becomes another one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use towline_agent::command_log::detector::Detector;
use towline_agent::limits::TYPED_LINE;

/// The lines that are found when a stream passes, `most` bytes of output at a time.
fn lines_of(stream: &str, most: usize) -> Vec<String> {
    let path = format!("{}/tests/streams/{stream}.stream", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (mut detector, mut found) = (Detector::new(80), Vec::new());
    for line in text.lines() {
        let (way, hex) = line.split_once(' ').unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        match way {
            "i" => detector.input(&bytes),
            _ => bytes.chunks(most).for_each(|some| detector.output(some, |line| found.push(line))),
        }
    }
    found
}

#[track_caller]
fn check(stream: &str, expected: &[&str]) {
    assert_eq!(lines_of(stream, usize::MAX), expected, "{stream}");
    assert_eq!(lines_of(stream, 1), expected, "{stream}, byte by byte");
}

#[test]
fn lines_that_were_edited_recalled_searched_and_completed_are_read_as_they_were_run() {
    let whole =
        ["echo one", "echo two", "echo two", "echo one", "cd /tmp/", "cd /", "false", "exit"];
    check("bash-editing", &whole);
    // This shell has no search in its history: what was typed for one is a line.
    check(
        "busybox-editing",
        &["echo one", "echo two", "echo two", "one", "cd /tmp/", "cd /", "false", "exit"],
    );
}

#[test]
fn the_history_search_of_zsh() {
    // It is drawn over two rows, which are not followed; everything else is.
    check("zsh-editing", &["echo one", "echo two", "echo two", "cd /tmp", "cd /", "false", "exit"]);
}

#[test]
fn plain_lines_are_read_in_every_shell() {
    for shell in ["bash", "dash", "busybox", "zsh"] {
        check(&format!("{shell}-plain"), &["echo one", "echo two", "cd /", "true", "exit"]);
    }
}

#[test]
fn a_line_longer_than_the_screen_is_one_line() {
    let line = |end: &str| format!("echo {}{end}", "0123456789 ".repeat(7));
    check("bash-wrapped", &[&line("end"), &line("END"), "exit"]);
}

#[test]
fn what_is_typed_without_echo_is_never_read() {
    for shell in ["bash", "busybox"] {
        for line in lines_of(&format!("{shell}-password"), usize::MAX) {
            assert!(!line.contains("hunter2") && !line.contains("topsecret"), "{shell}: {line}");
        }
    }
    check(
        "bash-password",
        &["read -s SECRET", "echo done", "stty -echo; cat; stty echo", "echo over", "exit"],
    );
}

#[test]
fn a_paste_of_many_lines_is_read_line_by_line() {
    let found = lines_of("bash-paste", usize::MAX);
    assert_eq!(found[..3], ["echo first", "echo second", "echo third"]);
}

#[test]
fn a_paste_while_a_program_runs() {
    // `echo ahead` was typed while `sleep` ran: the shell never showed it as a line of its own in
    // this recording.
    let found = lines_of("bash-paste", usize::MAX);
    assert_eq!(found[3], "sleep 1");
    assert!(!found.contains(&"sleep 1 echo ahead".to_owned()), "{found:?}");
}

#[test]
fn the_input_of_a_repl() {
    let found = lines_of("bash-repl", usize::MAX);
    assert!(found.contains(&"print(1)".to_owned()), "{found:?}");
}

#[test]
fn a_line_longer_than_the_bound() {
    let (mut detector, mut found) = (Detector::new(80), Vec::new());
    detector.output(b"$ ", |_| {});
    detector.input(b"x");
    detector.output(&[b'x'; 1500], |_| {});
    detector.input(b"\r");
    detector.output(b"\r\n", |line| found.push(line));
    assert_eq!(found.len(), 1);
    assert!(found[0].len() < TYPED_LINE);
}

#[test]
fn a_run_of_text_is_read_as_its_bytes_one_by_one() {
    let texts: [&[u8]; 5] = [
        b"$ plain \xc3\xa4\xc3\xb6 text\tand a tab",
        b"\x1b[1mbold\x1b[0m and \x1b]0;a title\x07 more",
        &[b'w'; TYPED_LINE - 30],
        b"\t\t\t\t\t\t beyond the bound",
        b"\x1b[999G\t\t\t\t\t and over it",
    ];
    for width in [1, 80, u16::MAX] {
        for first in texts {
            for second in texts {
                let read = |most: usize| {
                    let (mut detector, mut found) = (Detector::new(width), Vec::new());
                    detector.output(b"$ ", |_| {});
                    detector.input(b"x");
                    for some in [first, second].concat().chunks(most) {
                        detector.output(some, |line| found.push(line));
                    }
                    detector.input(b"\r");
                    detector.output(b"\r\n", |line| found.push(line));
                    found
                };
                assert_eq!(read(2 * 1024), read(1));
            }
        }
    }
}

#[test]
fn a_full_screen_program_has_no_command_lines() {
    let (mut detector, mut found) = (Detector::new(80), Vec::new());
    for (input, output) in
        [("vi\r", "$ vi\r\n\x1b[?1049h\x1b[H~\r\n~"), ("ihello\r", "hello\r\n"), (":q\r", "\r\n")]
    {
        detector.input(input.as_bytes());
        detector.output(output.as_bytes(), |line| found.push(line));
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn any_bytes_cost_bounded_memory_and_no_panic() {
    let mut random = 1_u64;
    let mut bytes = vec![0; 64 * 1024];
    for byte in &mut bytes {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = random.to_le_bytes()[5];
    }
    for width in [0, 1, 80, u16::MAX] {
        let mut detector = Detector::new(width);
        for (at, some) in bytes.chunks(37).enumerate() {
            if at % 5 == 0 {
                detector.input(some)
            } else {
                detector.output(some, |line| assert!(line.len() <= 4 * TYPED_LINE))
            }
        }
        for sequence in [
            "\x1b[65535A",
            "\x1b[65535@x",
            "\x1b[65535P",
            "\x1b[65535C\x1b[K",
            "\x1b[65535X",
            "\x1b[65535Bx\r\n",
        ] {
            detector.output(sequence.as_bytes(), |_| {});
        }
    }
}

#[test]
fn output_behind_a_password_is_no_command_line() {
    let (mut detector, mut found) = (Detector::new(80), Vec::new());
    detector.output(b"dev$ ", |line| found.push(line));
    detector.input(b"read -s -p 'Secret: ' x; echo y\r");
    detector.output(b"read -s -p 'Secret: ' x; echo y\r\nSecret: ", |line| found.push(line));
    detector.input(b"hunter");
    detector.hidden(); // the key that ends it
    detector.output(b"y\r\ndev$ ", |line| found.push(line));
    detector.input(b"true\r");
    detector.output(b"true\r\n", |line| found.push(line));
    assert_eq!(found, ["read -s -p 'Secret: ' x; echo y", "true"]);
}
