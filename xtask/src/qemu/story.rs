//! The steps that every virtual device goes through, in order. Each step prints one sentence.

use std::path::Path;
use std::time::Duration;

use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, files};

use super::device::{ANSWER, Device, Facts, answers, facts_file};
use super::machine::Model;
use crate::console;
use crate::dist::class::Class;

/// A step: what must hold, and how it is looked at.
type Step = (&'static str, fn(&mut Device, &Class) -> Outcome);

const STEPS: &[Step] = &[
    ("TLS came up although the clock stands in 1970", clock),
    ("a shell has the operator's size and gives the exit code back", shell),
    ("a full-screen program fills the operator's window", full_screen),
    ("nothing listens inside the device", no_listener),
    ("a shell goes on when the link is cut", cut),
    ("a shell goes on over a link that loses one packet in twenty and delays the others", netem),
    ("a shell goes on when the gateway is killed and started again", gateway_restart),
    ("the agent comes back on a read-only file system", read_only),
    ("the agent comes back on a full disk", full_disk),
    ("without the account the agent goes on as one process and says so", one_process),
    ("what reads the network is a process without rights", separated),
];
/// Settings of the agent that hold from its next start.
const SETTINGS: &str = "/data/agent.toml";
/// The account of the network process, as the package makes it.
const ACCOUNT_ID: u32 = 64321;

/// Boots a device of a class and goes through all steps.
///
/// # Errors
/// The step that failed, with what was seen.
pub(super) fn tell(model: &Model, class: &Class, agent: &Path, kept: super::Facts) -> Outcome {
    console::step(&format!("{}: a machine with {} MB", class.name, model.memory()));
    let mut device = Device::enrolled(model, class, agent)?;
    console::line(&format!("  {}: enrolled as {} and connected", class.name, device.id));
    let mut facts = memory(&mut device, model, class)?;
    for (sentence, step) in STEPS {
        step(&mut device, class)
            .map_err(|e| Trouble::new(format!("{}: {sentence}: {e}", class.name)))?;
        console::line(&format!("  {}: {sentence}", class.name));
    }
    let took = device.comes_back_after(|machine| machine.send("reboot -f"))?;
    drop(device.shell()?);
    console::line(&format!(
        "  {}: comes back by itself after a reboot, in {} ms",
        class.name,
        took.as_millis()
    ));
    if kept == super::Facts::Dropped {
        return Ok(());
    }
    facts.boot_ms = u64::try_from(took.as_millis())?;
    let path = facts_file(&class.name);
    std::fs::create_dir_all(path.with_file_name(""))?;
    files::write(&path, serde_json::to_string_pretty(&facts)?)
}

fn memory(device: &mut Device, model: &Model, class: &Class) -> Outcome<Facts> {
    let budget = class.budget()?.agent;
    let pid = device.agent()?;
    // Counted page by page. What `status` says is a sum that the kernel brings up to date every 64
    // pages.
    let (status, pages) = (format!("/proc/{pid}/status"), format!("/proc/{pid}/smaps_rollup"));
    let idle_kib = device.machine.number(&pages, "Rss:")?;
    let anonymous_kib = device.machine.number(&pages, "Anonymous:")?;
    let threads = device.machine.number(&status, "Threads:")?;
    let shell = device.shell()?;
    let shell_kib = device.machine.number(&pages, "Rss:")?;
    let second = device.shell()?;
    let further = device.machine.number(&pages, "Rss:")?.saturating_sub(shell_kib);
    drop((shell, second));
    let seen = format!(
        "{}: RSS {idle_kib} KiB idle ({anonymous_kib} anonymous), {shell_kib} with a shell",
        class.name
    );
    console::line(&format!("  {seen}, {threads} thread, a further shell {further} KiB"));
    ensure(idle_kib <= budget.idle_rss_kib && anonymous_kib <= budget.idle_anonymous_kib, || {
        format!("{seen}: promised {} ({})", budget.idle_rss_kib, budget.idle_anonymous_kib)
    })?;
    ensure(further <= budget.per_shell_kib, || format!("a further shell costs {further} KiB"))?;
    ensure(threads <= budget.threads, || format!("{threads} threads"))?;
    Ok(Facts {
        class: class.name.clone(),
        machine_mb: model.memory(),
        idle_kib,
        anonymous_kib,
        shell_kib,
        boot_ms: 0,
    })
}

fn clock(device: &mut Device, _: &Class) -> Outcome {
    let year = device.machine.run("date +%Y")?;
    ensure(year == "1970", || format!("it is {year} there"))
}

fn shell(device: &mut Device, _: &Class) -> Outcome {
    let mut shell = device.shell()?;
    shell.line("stty size")?;
    shell.expect_within("24 80", ANSWER)?;
    shell.resize(50, 132)?;
    shell.line("stty size")?;
    shell.expect_within("50 132", ANSWER)?;
    shell.line("exit 7")?;
    let status = shell.finish(ANSWER)?;
    ensure(status.code() == Some(7), || format!("it ended with {status}"))
}

fn full_screen(device: &mut Device, _: &Class) -> Outcome {
    let mut shell = device.shell()?;
    shell.resize(30, 100)?;
    shell.line("seq 1 99 >/tmp/text; vi /tmp/text")?;
    // The 29th line is the last of the text; the 30th is the editor's own.
    shell.expect_within("\u{1b}[29;1H29", ANSWER)?;
    let drawn = shell.expect_within("/tmp/text 1/99", ANSWER)?;
    ensure(drawn.contains("\u{1b}[30;1H") && !drawn.contains("[31;"), || {
        format!("it drew elsewhere: {drawn:?}")
    })?;
    shell.send(":q!\r")?;
    answers(&mut shell, 2)
}

fn no_listener(device: &mut Device, _: &Class) -> Outcome {
    let tables = "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 /proc/net/raw \
                  /proc/net/raw6 2>/dev/null";
    let text = device.machine.run(tables)?;
    let sockets: Vec<&str> = text
        .lines()
        .filter(|line| line.trim().contains(": ") && !line.contains("local_address"))
        .collect();
    // State 01: connected, by us. Anything else in these tables waits for somebody.
    let waiting: Vec<&&str> =
        sockets.iter().filter(|line| line.split_whitespace().nth(3) == Some("0A")).collect();
    ensure(!sockets.is_empty(), || format!("not even the link is to be seen: {text}"))?;
    ensure(waiting.is_empty(), || format!("these listen: {waiting:?}"))
}

fn cut(device: &mut Device, _: &Class) -> Outcome {
    let mut shell = device.shell()?;
    for number in 10..13 {
        device.relay.cut();
        answers(&mut shell, number)?;
    }
    device.wait_connected()
}

fn netem(device: &mut Device, _: &Class) -> Outcome {
    let tc = "cd /data/tc; TC_LIB_DIR=/data/tc $(ls ld-linux*.so.* | head -n 1 | sed s,^,./,) \
              --library-path . ./tc";
    device
        .machine
        .run(&format!("({tc} qdisc add dev eth0 root netem delay 100ms 30ms loss 5%)"))?;
    let worked = (|| {
        let mut shell = device.shell()?;
        (20..25).try_for_each(|number| answers(&mut shell, number))
    })();
    device.machine.run(&format!("({tc} qdisc del dev eth0 root)"))?;
    worked
}

fn gateway_restart(device: &mut Device, _: &Class) -> Outcome {
    let mut shell = device.shell()?;
    device.lab.gateway.kill()?;
    device.lab.gateway.start_again()?;
    device.relay.retarget(device.lab.gateway.address());
    answers(&mut shell, 30)
}

fn read_only(device: &mut Device, _: &Class) -> Outcome {
    device.machine.run("sync; mount -o remount,ro /data && ! touch /data/probe 2>/dev/null")?;
    device.comes_back_after(|machine| machine.run("kill -9 $(pidof towline-agent)").map(drop))?;
    drop(device.shell()?);
    device.machine.run("mount -o remount,rw /data").map(drop)
}

/// The agent starts anew with these settings and is connected.
fn with_settings(device: &mut Device, settings: &str) -> Outcome {
    let write = format!("printf '{settings}' >{SETTINGS}; kill -9 $(pidof towline-agent)");
    device.comes_back_after(|machine| machine.run(&write).map(drop)).map(drop)
}

/// What the gateway was told of the device's network process.
fn told(device: &Device) -> Outcome<String> {
    let body = serde_json::json!({ "MaxResults": 5 });
    eventually("the gateway knows how the network is read", ANSWER, || {
        let answer = device.operator().api("AmazonSSM.DescribeInstanceInformation", &body).ok()?;
        let said = &answer["InstanceInformationList"][0]["TowlineSeparation"];
        said.as_str().map(str::to_owned)
    })
}

fn one_process(device: &mut Device, _: &Class) -> Outcome {
    with_settings(
        device,
        "[security]\\nseparation = \"wanted\"\\nnetwork_user = \"nobody-at-all\"\\n",
    )?;
    let said = told(device)?;
    let reason = "impossible: this device has no account \"nobody-at-all\"";
    ensure(said.starts_with(reason), || said.clone())
}

fn separated(device: &mut Device, class: &Class) -> Outcome {
    with_settings(device, "[security]\\nseparation = \"demanded\"\\n")?;
    let said = told(device)?;
    ensure(said == "separate", || said.clone())?;
    let find = "for p in $(pidof towline-agent); do tr '\\0' ' ' </proc/$p/cmdline | grep -q ' \
                network' && echo $p; done; true";
    let network = device.machine.run(find)?;
    let network: u64 =
        network.parse().map_err(|_| Trouble::new(format!("network processes: {network:?}")))?;
    let status = device.machine.run(&format!("tr '\\t' ' ' </proc/{network}/status"))?;
    let uid = format!("Uid: {ACCOUNT_ID} {ACCOUNT_ID} {ACCOUNT_ID} {ACCOUNT_ID}");
    for line in [&*uid, "CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2", "Threads: 1"] {
        ensure(status.contains(line), || format!("not {line:?}: {status}"))?;
    }
    let seen = device.machine.run(&format!("ls -A /proc/{network}/root | wc -l"))?;
    ensure(seen == "0", || format!("its root has {seen} entries"))?;
    let agents = device.machine.run("pidof towline-agent")?;
    let monitor = agents.split_whitespace().find(|pid| **pid != *network.to_string());
    let monitor = monitor.ok_or_else(|| Trouble::new("no agent beside it"))?.to_owned();
    let owner = device.machine.run(&format!("grep -c '^Uid:.0.0.0.0$' /proc/{monitor}/status"))?;
    ensure(owner == "1", || format!("process {monitor} beside {network} is not root's"))?;
    let mut read =
        |pid: &str, word| device.machine.number(&format!("/proc/{pid}/smaps_rollup"), word);
    let network = network.to_string();
    let [rss, pss, anonymous] = ["Rss:", "Pss:", "Anonymous:"]
        .map(|word| Ok::<_, Trouble>((read(&monitor, word)?, read(&network, word)?)));
    let (rss, pss, anonymous) = (rss?, pss?, anonymous?);
    console::line(&format!(
        "  {}: two processes, idle: RSS {} and {}, PSS {} and {}, anonymous {} and {} KiB",
        class.name, rss.0, rss.1, pss.0, pss.1, anonymous.0, anonymous.1
    ));
    cut(device, class)
}

fn full_disk(device: &mut Device, _: &Class) -> Outcome {
    let fill = "for size in 64k 4k 1k; do dd if=/dev/zero of=/data/fill$size bs=$size \
                2>/dev/null; sync; done; \
                ! dd if=/dev/zero of=/data/more bs=4k count=1 conv=fsync 2>/dev/null";
    let (text, status) = device.machine.outcome(fill, Duration::from_secs(120))?;
    ensure(status == "0", || format!("the disk is not full: {text}"))?;
    device.comes_back_after(|machine| machine.run("kill -9 $(pidof towline-agent)").map(drop))?;
    drop(device.shell()?);
    device.machine.run("rm -f /data/fill* /data/more; sync").map(drop)
}
