//! Links that sign a browser in, made at one of several gateways and used at another.

use serde_json::json;
use towline_testkit::https::Request;
use towline_testkit::process::Signal;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use crate::cluster::Pair;

const ORIGIN: &str = "https://console.example";

fn with_console() -> Outcome<Pair> {
    Pair::with(&format!("[console]\norigins = [\"{ORIGIN}\"]\n"))
}

/// The status of the answer to a click on a link.
fn click(pair: &Pair, at: std::net::SocketAddr, link: &str) -> Outcome<u16> {
    let (user, secret) = link
        .split_once("#/link/")
        .and_then(|(_, rest)| rest.split_once('/'))
        .ok_or_else(|| Trouble::new(format!("no link: {link}")))?;
    let body = json!({ "PrincipalName": user, "Secret": secret }).to_string();
    let mut request = Request::json("Towline.RedeemSignInLink", &body);
    request.headers.push(("origin".into(), ORIGIN.into()));
    Ok(pair.admin_at(at).send_unsigned(&request)?.status)
}

#[test]
fn a_link_that_the_store_does_not_take_is_refused_in_words() -> Outcome {
    let pair = with_console()?;
    pair.server.signal_all(Signal::STOP)?;
    let refused = pair.lab.gateway.sign_in_link();
    pair.server.signal_all(Signal::CONT)?;
    let said = refused.map_or_else(|why| why.to_string(), |link| format!("a link: {link}"));
    ensure(said.contains("does its store answer"), || said.clone())
}

#[test]
fn a_link_signs_in_once_at_any_gateway_until_its_own_is_restarted() -> Outcome {
    let mut pair = with_console()?;
    let (a, b) = (pair.a_address(), pair.b_address);
    let link = pair.lab.gateway.sign_in_link()?;
    ensure(click(&pair, b, &link)? == 200, || "a link of a, at b".into())?;
    for address in [a, b] {
        ensure(click(&pair, address, &link)? == 400, || "a second time".into())?;
    }
    let link = pair.lab.gateway.sign_in_link()?;
    pair.lab.gateway.kill()?;
    pair.lab.gateway.start_again()?;
    ensure(click(&pair, b, &link)? == 400, || "its gateway was restarted".into())?;
    let link = pair.lab.gateway.sign_in_link()?;
    ensure(click(&pair, a, &link)? == 200, || "a new one".into())
}
