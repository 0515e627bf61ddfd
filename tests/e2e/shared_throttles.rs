//! Failures of strangers count at all gateways together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use towline_testkit::https::Request;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::cluster::{PATIENCE, Pair};

/// Failures of one source in a minute; `crates/gateway/src/limits/gateway.rs` has the number.
const MOST: i64 = 20;

/// One failure of 127.8.8.`last` at a gateway. Whether the source was turned away.
fn fail(pair: &Pair, at: SocketAddr, last: u8) -> Outcome<bool> {
    let source = IpAddr::V4(Ipv4Addr::new(127, 8, 8, last));
    let request = Request::json("AmazonSSM.DescribeInstanceInformation", "{}");
    let answer = pair.admin_at(at).from_address(source).send_unsigned(&request)?;
    ensure(answer.status == 400, || format!("{answer:?}"))?;
    Ok(answer.body.contains("ThrottlingException"))
}

/// Waits until so many gateways have told that this source failed so often in all.
fn told(pair: &Pair, last: u8, gateways: i64, failures: i64) -> Outcome {
    let sql = format!(
        "select count(*) || ' ' || coalesce(sum(number), 0) from failures \
         where source = '127.8.8.{last}' and kind = 'requests'"
    );
    let wanted = format!("{gateways} {failures}");
    eventually("the gateways have told", PATIENCE, || {
        (pair.server.psql("towline", &sql).ok()? == wanted).then_some(())
    })
}

#[test]
fn who_failed_at_one_gateway_is_turned_away_at_the_other() -> Outcome {
    let pair = Pair::start()?;
    for _ in 1..MOST {
        fail(&pair, pair.a_address(), 1)?;
    }
    told(&pair, 1, 1, MOST - 1)?;
    ensure(!fail(&pair, pair.b_address, 1)?, || "b knows of it too early".into())?;
    told(&pair, 1, 2, MOST)?;
    // Once b has told of another source, it has heard what was told before.
    ensure(!fail(&pair, pair.b_address, 2)?, || "another source is turned away".into())?;
    told(&pair, 2, 1, 1)?;
    ensure(fail(&pair, pair.b_address, 1)?, || "b lets the source try on".into())?;
    ensure(!fail(&pair, pair.b_address, 3)?, || "another source is turned away".into())?;
    // Right keys are taken from there all the same.
    let source = IpAddr::V4(Ipv4Addr::new(127, 8, 8, 1));
    let admin = pair.admin_at(pair.b_address).from_address(source);
    let answer = admin.send(&Request::json("AmazonSSM.DescribeInstanceInformation", "{}"))?;
    ensure(answer.status == 200, || format!("{answer:?}"))
}
