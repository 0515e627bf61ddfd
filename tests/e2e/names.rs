//! A gateway that is known by a name: one that cannot be resolved yet, and one whose first address
//! answers nobody.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use towline_testkit::blackhole::BlackHole;
use towline_testkit::lab::{Device, DeviceSetup, GatewaySetup, Lab};
use towline_testkit::netns::Network;
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually, files};

/// The gateway's name. It stands in the certificate beside the address that operators use.
const NAME: &str = "gateway.towline.test";

/// A lab whose gateway has a name, and a device that looks it up in a file of its own: the
/// machine's names are not asked.
fn named() -> Outcome<(Lab, Device, PathBuf)> {
    let lab =
        Lab::with(&GatewaySetup { more_hosts: vec![NAME.into()], ..GatewaySetup::default() })?;
    let hosts = lab.file("hosts", &format!("127.0.0.1 {NAME}\n"))?;
    let rules = lab.file("nsswitch.conf", "hosts: files\n")?;
    let nobody = lab.file("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")?;
    let script = format!(
        "mount --bind '{}' /etc/hosts && mount --bind '{}' /etc/nsswitch.conf && mount --bind \
         '{}' /etc/resolv.conf \
         && exec \"$@\"",
        hosts.display(),
        rules.display(),
        nobody.display()
    );
    let behind = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "names"];
    let setup = DeviceSetup {
        behind: behind.map(str::to_owned).to_vec(),
        direct: Some(format!("{NAME}:{}", lab.gateway.address().port())),
        ..DeviceSetup::default()
    };
    let device = lab.enrolled(&setup)?;
    Ok((lab, device, hosts))
}

fn works(lab: &Lab, device: &Device) -> Outcome {
    let out = lab.admin().run(&["exec", device.id(), "--", "echo", "in"])?;
    ensure(out.stdout == b"in\n", || format!("{out:?}"))
}

#[test]
fn a_name_that_cannot_be_resolved_is_asked_for_again_until_it_can() -> Outcome {
    let _network = Network::enter()?;
    let (lab, mut device, hosts) = named()?;
    files::write(&hosts, "127.0.0.1 localhost\n")?;
    device.start()?;
    let failures = || device.logged().matches(&format!("cannot resolve {NAME}")).count();
    eventually("several look-ups fail", PATIENCE, || (failures() >= 3).then_some(()))?;
    files::write(&hosts, format!("127.0.0.1 {NAME}\n"))?;
    device.wait_online(&lab.admin())?;
    works(&lab, &device)
}

#[test]
fn an_address_that_answers_nobody_does_not_hold_up_the_one_that_does() -> Outcome {
    let _network = Network::enter()?;
    let (lab, mut device, hosts) = named()?;
    // By the rules for choosing addresses (RFC 6724) this one comes first.
    let first = SocketAddr::from((Ipv6Addr::LOCALHOST, lab.gateway.address().port()));
    let hole = BlackHole::at(first)?;
    files::write(&hosts, format!("::1 {NAME}\n127.0.0.1 {NAME}\n"))?;
    device.start()?;
    device.wait_online(&lab.admin())?;
    ensure(hole.has_swallowed()?, || {
        "the first address was never tried: this test showed nothing".into()
    })?;
    let logged = device.logged();
    ensure(!logged.contains("no answer from") && !logged.contains("next try"), || {
        format!("a try failed before the other address was dialled: {logged}")
    })?;
    works(&lab, &device)
}
