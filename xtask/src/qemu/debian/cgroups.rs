//! The Debian machine and cgroups, of version 2 alone: a session's limit of processes, and what the
//! agent's move into a leaf of its unit's cgroup may not break: reload, stop, restart, and a start
//! above sessions that outlived the agent before.

use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use super::super::device::{ANSWER, answers};
use super::{Debian, UNIT};

/// The most processes of one session in this story: soon reached, and room for what the other steps
/// do.
const MOST: u32 = 60;
/// The unit's own cgroup.
const HOME: &str = "/sys/fs/cgroup/system.slice/towline-agent.service";

/// A fork bomb in one session, while another one works.
pub(super) fn bomb(debian: &mut Debian) -> Outcome {
    debian.machine.run("mkdir -p /etc/towline/agent.d")?;
    debian.machine.run(&format!(
        "printf '[sessions]\\nmax_processes = {MOST}\\n' >/etc/towline/agent.d/limit.toml"
    ))?;
    // Not reloaded: sessions of other steps would go on, with the limit of then.
    debian.machine.run(&format!("systemctl restart {UNIT}"))?;
    debian.answers_calls()?;
    limited(debian)?;
    let mut bomb = debian.shell()?;
    let listed = debian
        .operator()
        .api("AmazonSSM.DescribeSessions", &serde_json::json!({ "State": "Active" }))?;
    let session = listed["Sessions"][0]["SessionId"].as_str().map(str::to_owned);
    let session = session.ok_or_else(|| Trouble::new(format!("no session is listed: {listed}")))?;
    let mut other = debian.shell()?;
    bomb.line("b() { b | b & }; b 2>/dev/null")?;
    debian.until(&format!("grep -qs 'max [1-9]' {HOME}/towline-[0-9]*/pids.events"))?;
    for number in 2..5 {
        answers(&mut other, number)?;
        let kept = format!(
            "for f in {HOME}/towline-[0-9]*/pids.current; do test $(cat $f) -le {MOST} || exit 1; \
             done"
        );
        debian.machine.run(&format!("({kept})"))?;
    }
    debian.answers_calls()?;
    debian
        .operator()
        .api("AmazonSSM.TerminateSession", &serde_json::json!({ "SessionId": session }))?;
    debian.until(&format!("test $(ls -d {HOME}/towline-[0-9]* | wc -l) = 1"))?;
    answers(&mut other, 5)?;
    other.line("exit 0")?;
    other.finish(ANSWER).map(drop)
}

/// The agent is in its leaf, every session has the limit, and the agent says so.
pub(super) fn limited(debian: &mut Debian) -> Outcome {
    in_its_leaf(debian)?;
    let all = format!(
        "for f in $(ls {HOME}/towline-[0-9]*/pids.max 2>/dev/null); do grep -qx {MOST} $f || exit \
         1; done"
    );
    debian.machine.run(&format!("({all})")).map(drop)
}

fn in_its_leaf(debian: &mut Debian) -> Outcome {
    debian.until(&format!(
        "towline-agent status --json | grep -qF '\"maxProcesses\":\"at most {MOST}\"'"
    ))?;
    let pid = debian.pid()?;
    let leaf = format!("0::{}/towline-leaf", HOME.replace("/sys/fs/cgroup", ""));
    debian.machine.run(&format!("grep -qx '{leaf}' /proc/{pid}/cgroup")).map(drop)
}

/// Stopped, nothing is left; started and restarted, everything is there again.
pub(super) fn stopped(debian: &mut Debian) -> Outcome {
    debian
        .machine
        .run(&format!("systemctl stop {UNIT} && ! pidof towline-agent && ! test -e {HOME}"))?;
    debian.machine.run(&format!("systemctl start {UNIT}"))?;
    debian.answers_calls()?;
    debian.machine.run(&format!("systemctl restart {UNIT}"))?;
    debian.answers_calls()?;
    debian.machine.run(&format!("systemctl status --no-pager {UNIT} | grep -q towline-leaf"))?;
    limited(debian)
}

/// A process of a session that nobody could kill when the agent was gone (a dead network file
/// system; here: systemd is told not to try) keeps systemd from putting the next agent into a
/// cgroup that passes controllers on.
pub(super) fn outlived(debian: &mut Debian) -> Outcome {
    settings(debian, "KillMode=process\\nSendSIGKILL=no")?;
    let mut shell = debian.shell()?;
    shell.line("(trap '' HUP TERM; exec setsid sleep 9999) &")?;
    debian.until("pidof sleep")?;
    let before = debian.pid()?;
    debian.machine.run(&format!("kill -9 {before}"))?;
    debian.until(&format!(
        "systemctl -q is-active {UNIT} && test $(systemctl show -P MainPID {UNIT}) != {before}"
    ))?;
    debian.answers_calls()?;
    in_its_leaf(debian)?;
    // The agent's own sweep.
    debian.until("! pidof sleep")?;
    let refused = debian
        .machine
        .run(&format!("journalctl -q --no-pager -u {UNIT} | grep -c 219/CGROUP || true"))?;
    ensure(refused == "0", || {
        format!("systemd could not put the agent into its cgroup {refused} times")
    })?;
    settings(debian, "")
}

/// A unit that is not given its cgroup has no limit, and says so; all else is as ever.
pub(super) fn not_given(debian: &mut Debian) -> Outcome {
    settings(debian, "Delegate=no")?;
    debian.machine.run(&format!("systemctl restart {UNIT}"))?;
    debian.answers_calls()?;
    debian
        .machine
        .run("towline-agent status --json | grep -qF '\"maxProcesses\":\"any number: '")?;
    let mut shell = debian.shell()?;
    let pid = debian.pid()?;
    debian.machine.run(&format!("systemctl reload {UNIT}"))?;
    debian.answers_calls()?;
    answers(&mut shell, 2)?;
    drop(shell);
    ensure(debian.pid()? == pid, || "the agent is another process".into())?;
    settings(debian, "")?;
    debian.machine.run(&format!("systemctl restart {UNIT}"))?;
    debian.answers_calls()?;
    limited(debian)
}

/// Lines for the unit's `[Service]`, in place of those from before.
fn settings(debian: &mut Debian, lines: &str) -> Outcome {
    let dir = format!("/run/systemd/system/{UNIT}.d");
    debian
        .machine
        .run(&format!("mkdir -p {dir} && printf '[Service]\\n{lines}\\n' >{dir}/story.conf"))?;
    debian.machine.run("systemctl daemon-reload").map(drop)
}
