//! The clock of the database is set while gateways work: leases are judged by it, and nothing else.

use towline_testkit::postgres::Postgres;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::cluster::{PATIENCE, Pair, exec};
use crate::echo::{echo, round_trip};

#[test]
fn two_gateways_go_on_when_the_clock_of_their_database_is_set() -> Outcome {
    let server = Postgres::start(&["fsync = off"])?;
    server.psql("postgres", "create database towline")?;
    server.lets_clock_be_set("towline")?;
    let store = server.address("towline");
    let pair = Pair::on(server, store, false, "")?;
    let at_a = pair.device_at(&[pair.a_address()])?;
    let at_b = pair.device_at(&[pair.b_address])?;
    let mut text = Text::new(41);
    let mut shell = echo(&pair.admin_at(pair.a_address()), &at_b)?;
    for clock in ["5 minutes", "-5 minutes", "7 seconds"] {
        pair.server.set_clock("towline", clock)?;
        // A lease that is over by the new clock is renewed within two seconds.
        let renewed = "select count(*) from nodes where expires_at between \
                       extract(epoch from clock_timestamp()) * 1000 + 4000 \
                       and extract(epoch from clock_timestamp()) * 1000 + 8100";
        eventually("both have renewed their leases", PATIENCE, || {
            (pair.server.psql("towline", renewed).ok()? == "2").then_some(())
        })?;
        round_trip(&mut shell, &text.take_bytes(5_000), clock)?;
        // Grants are by the clocks of gateway and device.
        for (address, device) in [(pair.a_address(), &at_b), (pair.b_address, &at_a)] {
            exec(&pair.admin_at(address), device, "new")?;
        }
        pair.nobody_lost_anything(1)?;
    }
    for node in ["a", "b"] {
        let shown = pair.node(node)?;
        ensure(shown["Generation"] == 1, || format!("it was declared dead: {shown}"))?;
    }
    Ok(())
}
