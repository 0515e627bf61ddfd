//! Devices under constraints: a read-only file system, a wrong clock, an HTTP proxy, IPv6 only.

use std::process::Command;

use towline_testkit::connect_proxy::ConnectProxy;
use towline_testkit::lab::{Device, DeviceSetup, GatewaySetup, Lab};
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

fn shell_works(lab: &Lab, device: &Device) -> Outcome {
    let mut shell = lab.admin().shell(device.id())?;
    shell.line("echo sum-$((6 * 7))")?;
    shell.expect("sum-42")?;
    shell.line("exit 7")?;
    let status = shell.finish(PATIENCE)?;
    ensure(status.code() == Some(7), || format!("the shell ended with {status}"))
}

/// Runs a command line in a mount namespace of its own, after `script` has changed the mounts
/// there.
fn with_mounts(script: &str) -> Vec<String> {
    let script = format!("mount --make-rprivate / && {script} && exec \"$@\"");
    ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
}

#[test]
fn a_device_whose_root_is_read_only_has_a_shell() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.enrolled(&DeviceSetup::default())?;
    // The root, and the device's own folder, wherever that is mounted: neither may be written.
    let own = device.directory().display().to_string();
    let probes = [format!("/towline-probe-{}", std::process::id()), format!("{own}/probe")];
    let words = with_mounts(&format!(
        "mount --bind '{own}' '{own}' && mount -o remount,bind,ro '{own}' && mount -o \
         remount,bind,ro /"
    ));
    device.start_as(behind(&device, &words))?;
    device.wait_online(&lab.admin())?;
    shell_works(&lab, &device)?;
    for probe in probes {
        let out = lab.admin().run(&["exec", device.id(), "--", "touch", &probe])?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(said.contains("Read-only file system"), || {
            format!("{probe} could be written: {said}")
        })?;
    }
    Ok(())
}

#[test]
fn a_device_whose_disk_is_full_has_a_shell() -> Outcome {
    let lab = Lab::start()?;
    let mut device = lab.enrolled(&DeviceSetup::default())?;
    let state = device.state().display().to_string();
    let spare = device.directory().join("spare");
    std::fs::create_dir(&spare)?;
    let spare = spare.display();
    let words = with_mounts(&format!(
        "mount -t tmpfs -o size=128k none '{spare}' && cp -a '{state}/.' '{spare}/' && mount \
         --bind '{spare}' '{state}' \
         && ! dd if=/dev/zero of='{state}/fill' 2>/dev/null"
    ));
    device.start_as(behind(&device, &words))?;
    device.wait_online(&lab.admin())?;
    shell_works(&lab, &device)?;
    let probe = format!("dd if=/dev/zero of='{state}/more' bs=4096 count=1");
    let out = lab.admin().run(&["exec", device.id(), "--", "sh", "-c", &probe])?;
    ensure(!out.status.success(), || "the disk was not full: this test showed nothing".into())
}

/// The agent's `run` behind these words.
fn behind(device: &Device, words: &[String]) -> Command {
    let agent = device.command(&["run"]);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(agent.get_program()).args(agent.get_args());
    for (name, value) in agent.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        } else {
            command.env_remove(name);
        }
    }
    command
}

/// Puts the agent's wall clock elsewhere; its monotonic clock goes on as it is. The library without
/// its wrapper program: that one would stay between us and the agent.
fn at_date(date: &str) -> Outcome<Vec<(String, String)>> {
    let folders = std::fs::read_dir("/usr/lib")?.filter_map(|entry| Some(entry.ok()?.path()));
    let library =
        folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|file| file.exists());
    let library =
        library.ok_or_else(|| Trouble::new("no libfaketime: on Debian, package faketime"))?;
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Ok(vec![
        setting("LD_PRELOAD", &library.display().to_string()),
        setting("FAKETIME", date),
        setting("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        setting("DONT_FAKE_MONOTONIC", "1"),
    ])
}

fn enrolls_and_works_at(date: &str) -> Outcome {
    let lab = Lab::start()?;
    let device =
        lab.device_with(&DeviceSetup { environment: at_date(date)?, ..DeviceSetup::default() })?;
    let environ = std::fs::read(format!("/proc/{}/maps", device.pid()?))?;
    ensure(String::from_utf8_lossy(&environ).contains("libfaketime"), || {
        "the clock was not moved".into()
    })?;
    shell_works(&lab, &device)?;
    let logged = device.logged();
    let year = date.trim_start_matches('@').split('-').next().unwrap_or_default().to_owned();
    ensure(logged.contains(&format!("{year}-")), || {
        format!("the agent does not live in {year}: {logged}")
    })
}

#[test]
fn a_device_that_lives_in_1970_enrolls_and_has_a_shell() -> Outcome {
    enrolls_and_works_at("@1970-01-01 12:00:30")
}

#[test]
fn a_device_that_lives_in_2039_enrolls_and_has_a_shell() -> Outcome {
    enrolls_and_works_at("@2039-06-01 12:00:00")
}

fn through_proxy(url: &str) -> DeviceSetup {
    let environment =
        vec![("HTTPS_PROXY".to_owned(), url.to_owned()), ("NO_PROXY".to_owned(), String::new())];
    DeviceSetup { environment, ..DeviceSetup::default() }
}

#[test]
fn a_device_behind_an_http_proxy_enrolls_and_has_a_shell() -> Outcome {
    let lab = Lab::start()?;
    let proxy = ConnectProxy::start(None)?;
    let device = lab.device_with(&through_proxy(&format!("http://{}", proxy.address())))?;
    shell_works(&lab, &device)?;
    let asked = proxy.asked();
    let gateway = device.relay.address().to_string();
    ensure(asked.len() >= 2 && asked.iter().all(|a| a.target == gateway), || format!("{asked:?}"))
}

#[test]
fn a_proxy_that_wants_a_password_gets_it_and_nobody_reads_it_in_a_log() -> Outcome {
    let lab = Lab::start()?;
    // ann:s3cret-word
    let proxy = ConnectProxy::start(Some("YW5uOnMzY3JldC13b3Jk"))?;
    let device =
        lab.device_with(&through_proxy(&format!("http://ann:s3cret-word@{}", proxy.address())))?;
    shell_works(&lab, &device)?;
    ensure(proxy.asked().iter().all(|a| a.granted), || format!("{:?}", proxy.asked()))?;
    ensure(!device.logged().contains("s3cret-word"), || {
        "the password of the proxy stands in the log".into()
    })
}

#[test]
fn a_host_that_is_exempt_is_reached_without_the_proxy() -> Outcome {
    let lab = Lab::start()?;
    let proxy = ConnectProxy::start(None)?;
    let environment = vec![
        ("HTTPS_PROXY".to_owned(), format!("http://{}", proxy.address())),
        ("NO_PROXY".to_owned(), "example.com,127.0.0.1".to_owned()),
    ];
    let device = lab.device_with(&DeviceSetup { environment, ..DeviceSetup::default() })?;
    shell_works(&lab, &device)?;
    ensure(proxy.asked().is_empty(), || format!("{:?}", proxy.asked()))
}

#[test]
fn everything_works_where_there_is_only_ipv6() -> Outcome {
    let setup =
        GatewaySetup { listen: "[::1]:0".into(), host: "::1".into(), ..GatewaySetup::default() };
    let lab = Lab::with(&setup)?;
    let device = lab.device()?;
    shell_works(&lab, &device)
}

#[test]
fn a_gateway_that_is_away_at_first_is_found_when_it_comes() -> Outcome {
    let mut lab = Lab::start()?;
    let mut device = lab.enrolled(&DeviceSetup::default())?;
    lab.gateway.kill()?;
    device.start()?;
    let before = device.relay.count().connections;
    device.relay.wait_for_newcomer(before + 2, PATIENCE)?;
    lab.gateway.start_again()?;
    device.wait_online(&lab.admin())?;
    shell_works(&lab, &device)
}
