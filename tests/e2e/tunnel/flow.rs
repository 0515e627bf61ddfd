//! Bytes through a forward: whole, in both directions, each by itself, many at once, and none in
//! another's way.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use towline_testkit::lab::Lab;
use towline_testkit::terminal::Terminal;
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually, facts, files};

use super::{Forward, PATIENCE, ask, echo_server, pattern, serve};

#[test]
fn a_web_server_behind_a_forward_answers_many_requests_at_once() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let folder = lab.directory().join("www");
    std::fs::create_dir(&folder)?;
    let page = pattern(1, 700_000);
    files::write(&folder.join("page"), &page)?;
    let mut server = std::process::Command::new("python3");
    server
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
        .arg(&folder);
    let mut server = towline_testkit::process::Running::start(
        "http.server",
        server,
        &lab.directory().join("www.log"),
    )?;
    let port = server.wait_for("the web server listens", 0, PATIENCE, |text| {
        text.split_once("port ")?.1.split_whitespace().next()?.parse::<u16>().ok()
    })?;
    let forward = Forward::start(&lab, &device, &format!("0:{port}"))?;
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| -> Outcome<Vec<u8>> {
                    let mut stream = forward.connect()?;
                    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n")?;
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer)?;
                    let at = answer
                        .windows(4)
                        .position(|part| part == b"\r\n\r\n")
                        .map_or(0, |at| at + 4);
                    Ok(answer.split_off(at))
                })
            })
            .collect();
        for fetch in fetches {
            let body = fetch.join().map_err(|_| Trouble::new("a fetch failed"))??;
            ensure(body == page, || format!("{} bytes of {} arrived", body.len(), page.len()))?;
        }
        Ok(())
    })
}

#[test]
fn an_end_of_one_direction_is_passed_on_and_the_other_goes_on() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    // Answers only when the question has ended, with the question backwards.
    let server = serve(|mut stream| {
        let mut question = Vec::new();
        if stream.read_to_end(&mut question).is_ok() {
            question.reverse();
            let _ = stream.write_all(&question);
        }
    })?;
    let forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    let mut question = pattern(2, 3_000_000);
    let mut stream = forward.connect()?;
    stream.write_all(&question)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    question.reverse();
    ensure(answer == question, || format!("{} bytes of {} came back", answer.len(), question.len()))
}

#[test]
fn a_connection_that_nobody_reads_slows_no_other() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    // One word decides: `S` is never read from again, `F` is sent to without end, `E` is echoed.
    let server = serve(|mut stream| {
        let mut word = [0];
        if stream.read_exact(&mut word).is_err() {
            return;
        }
        match word[0] {
            b'S' => pause(Duration::from_secs(600)),
            b'F' => while stream.write_all(&[7; 65_536]).is_ok() {},
            _ => {
                let mut buffer = [0; 4096];
                while let Ok(n) = stream.read(&mut buffer) {
                    if n == 0 || stream.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            }
        }
    })?;
    let forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    let mut held = Vec::new();
    for word in [b"S", b"F"] {
        let mut stuck = forward.connect()?;
        stuck.write_all(word)?;
        stuck.set_nonblocking(true)?;
        held.push(stuck);
    }
    // Fills every buffer on the way to the one that does not read; the other one's fills by itself,
    // unread.
    let (mut sent, mut last) = (0, Instant::now());
    while last.elapsed() < Duration::from_millis(700) {
        match held[0].write(&[0; 65_536]) {
            Ok(n) => (sent, last) = (sent + n, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => pause(Duration::from_millis(10)),
            Err(error) => return Err(error.into()),
        }
    }
    ensure(sent > 64 * 1024, || format!("only {sent} bytes went into the stuck connection"))?;
    let mut other = forward.connect()?;
    other.write_all(b"E")?;
    let begin = Instant::now();
    for n in 0..200_u32 {
        ask(&mut other, &n.to_le_bytes())?;
    }
    let took = begin.elapsed();
    ensure(took < Duration::from_secs(60), || {
        format!("200 words took {took:?} beside two stuck connections")
    })
}

#[test]
fn thousands_of_short_connections_leave_nothing_behind_alone() -> Outcome {
    const ROUNDS: usize = 250;
    const AT_ONCE: usize = 8;
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    let forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    let round = |n: usize| -> Outcome {
        let mut all = (0..AT_ONCE).map(|_| forward.connect()).collect::<Outcome<Vec<_>>>()?;
        for (at, stream) in all.iter_mut().enumerate() {
            ask(stream, format!("word {n} {at}").as_bytes())?;
        }
        // Half of them are closed politely, the other half broken off.
        all.iter().step_by(2).try_for_each(|stream| stream.shutdown(Shutdown::Write))?;
        Ok(())
    };
    (0..20).try_for_each(round)?;
    let (agent, client) = (device.pid()?, forward.running.pid());
    let settled = |what: &str, pid: u32, most: usize| {
        eventually(what, PATIENCE, || (descriptors(pid) <= most).then(|| descriptors(pid)))
    };
    // The threads of the target close when they see the end; then nothing is left but what every
    // idle forward has.
    let idle =
        [settled("the agent is idle", agent, 40)?, settled("the forward is idle", client, 40)?];
    let before = [facts::memory(agent)?.anonymous, facts::memory(client)?.anonymous];
    (0..ROUNDS).try_for_each(round)?;
    settled("the agent has no more descriptors than before", agent, idle[0])?;
    settled("the forward has no more descriptors than before", client, idle[1])?;
    for (pid, before) in [agent, client].into_iter().zip(before) {
        let after = facts::memory(pid)?.anonymous;
        ensure(after <= before + 512, || {
            format!("{ROUNDS} x {AT_ONCE} connections: {before} KiB, then {after} KiB")
        })?;
    }
    Ok(())
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(usize::MAX, Iterator::count)
}

#[test]
fn alone_on_a_machine_a_shell_stays_responsive_beside_a_saturated_forward() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let source = serve(|mut stream| while stream.write_all(&[7; 65_536]).is_ok() {})?;
    let forward = Forward::start(&lab, &device, &format!("0:{}", source.port()))?;
    let mut stream = forward.connect()?;
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        let mut sum = 0_u64;
        while let Ok(n) = stream.read(&mut buffer) {
            sum += n as u64;
            if n == 0 {
                break;
            }
        }
        sum
    });
    let mut shell: Terminal = lab.admin().shell(device.id())?;
    shell.line("stty raw -echo; printf 'RE''ADY'; exec cat")?;
    shell.expect("READY")?;
    let mut times = Vec::new();
    for key in (b'a'..=b'z').cycle().take(60) {
        let begin = Instant::now();
        shell.send([key])?;
        let echo = shell.portion(begin + PATIENCE)?;
        ensure(echo == [key], || format!("sent {key}, got {echo:?}"))?;
        times.push(begin.elapsed());
    }
    times.sort();
    drop(forward);
    let moved = reader.join().map_err(|_| Trouble::new("the reader failed"))?;
    ensure(moved > 1_000_000, || format!("the forward was not saturated: {moved} bytes"))?;
    // Measured by `cargo xtask bench tunnel`; here only that nobody waits behind a queue of bulk.
    ensure(times[30] < Duration::from_secs(1), || {
        format!("half of the keys took longer than {:?}", times[30])
    })
}

#[test]
fn a_unix_socket_or_another_address_may_be_listened_at() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = echo_server()?;
    let forward =
        Forward::start(&lab, &device, &format!("127.0.0.1:0:127.0.0.1:{}", server.port()))?;
    ask(&mut forward.connect()?, b"by address")?;
    let out = lab.admin().run(&[
        "forward",
        device.id(),
        &format!("{}:{}", forward.port, server.port()),
    ])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!out.status.success() && said.contains("cannot listen"), || {
        format!("a port that is taken: {said}")
    })
}
