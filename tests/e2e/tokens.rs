//! The token of a session: it opens one data channel, once.

use towline_testkit::Outcome;
use towline_testkit::lab::Lab;
use towline_testkit::trouble::ensure;
use towline_wire::client::{FromClient, ToClient};

use crate::peers::client::{Started, attach, open, say, start};

#[test]
fn a_token_opens_one_channel_and_no_second_one() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let Started { url, token, .. } = start(&lab, &device)?;
    let mut first = open(&lab, &url)?;
    let answer = attach(&mut first, &token)?;
    ensure(matches!(answer, ToClient::Attached { .. }), || format!("{answer:?}"))?;
    let again = attach(&mut open(&lab, &url)?, &token)?;
    ensure(matches!(again, ToClient::Refused { taken_over: false, .. }), || {
        format!("a used token: {again:?}")
    })?;
    // The first channel is not disturbed.
    say(&mut first, &FromClient::Close)
}

#[test]
fn a_token_is_for_its_own_session_only() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (one, other) = (start(&lab, &device)?, start(&lab, &device)?);
    let answer = attach(&mut open(&lab, &one.url)?, &other.token)?;
    ensure(matches!(answer, ToClient::Refused { .. }), || format!("{answer:?}"))
}

#[test]
fn a_guessed_token_opens_nothing_and_is_not_repeated_to_anybody() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let Started { url, token, .. } = start(&lab, &device)?;
    let guess: String = token.chars().rev().collect();
    let answer = attach(&mut open(&lab, &url)?, &guess)?;
    ensure(matches!(&answer, ToClient::Refused { text, .. } if !text.contains(&guess)), || {
        format!("{answer:?}")
    })?;
    let logged = lab.gateway.logged();
    ensure(!logged.contains(&guess) && !logged.contains(&token), || {
        "a token stands in the log".into()
    })
}
