//! A device with several addresses of gateways: it goes to the next one when one fails, and its
//! sessions go on.

use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::relay::Relay;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::echo::{comes_back, echo, round_trip};

/// A device that knows these addresses.
fn knowing(addresses: &[String], order: &str) -> DeviceSetup {
    let config = format!("gateway.address = {addresses:?}\ngateway.order = \"{order}\"");
    DeviceSetup { config, ..DeviceSetup::default() }
}

#[test]
fn a_shell_goes_on_over_the_next_address_when_one_is_gone_for_good() -> Outcome {
    let lab = Lab::start()?;
    let (first, second) = (Relay::to(lab.gateway.address())?, Relay::to(lab.gateway.address())?);
    let addresses = [first.address().to_string(), second.address().to_string()];
    let device = lab.device_with(&knowing(&addresses, "listed"))?;
    ensure((first.live(), second.live()) == (1, 0), || {
        "the first address has its turn first".into()
    })?;
    let mut shell = echo(&lab.admin(), &device)?;
    let mut text = Text::new(5);
    round_trip(&mut shell, &text.take_bytes(5_000), "before")?;
    let block = text.take_bytes(20_000);
    shell.send(&block)?;
    first.close(true);
    first.cut();
    comes_back(&mut shell, &block, "over the second address")?;
    ensure(second.live() == 1, || "the link does not lead over the second address".into())?;
    // A link that breaks is made again where it was.
    first.close(false);
    second.cut();
    round_trip(&mut shell, &text.take_bytes(5_000), "after")?;
    ensure((first.live(), second.live()) == (0, 1), || "the device left a good address".into())?;
    let status = device.command(&["status", "--json"]).output()?;
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    ensure(shown.contains(&addresses[1]), || format!("the status shows another gateway: {shown}"))
}

#[test]
fn devices_share_the_addresses_when_their_order_is_random() -> Outcome {
    let lab = Lab::start()?;
    let relays = [Relay::to(lab.gateway.address())?, Relay::to(lab.gateway.address())?];
    let addresses = relays.each_ref().map(|relay| relay.address().to_string());
    let mut devices = Vec::new();
    // 24 draws are on one side once in eight million runs.
    eventually("both addresses are used", std::time::Duration::from_secs(120), || {
        if devices.len() < 24 {
            devices.push(lab.device_with(&knowing(&addresses, "random")).ok()?);
        }
        relays.iter().all(|relay| relay.live() > 0).then_some(())
    })
}
