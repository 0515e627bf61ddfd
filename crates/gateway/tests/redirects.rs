//! Where answers of identity providers count, at any gateway, and what a block voids of what they
//! gave.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

mod sign_in_desk;
mod still_api;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sign_in_desk::provider::Provider;
use sign_in_desk::{CORP, Desk};

const UNKNOWN: &str = "UnrecognizedClientException";

async fn desk() -> (Desk, Arc<Provider>) {
    Desk::open(still_api::parts).await
}

async fn update(desk: &Desk, settings: Value) {
    desk.admin("UpdateIdentityProvider", &settings).await;
}

async fn set_blocked(desk: &Desk, blocked: bool) {
    let status = if blocked { "Blocked" } else { "Active" };
    let body = json!({ "ProviderName": CORP, "Subject": "ann", "Status": status });
    desk.admin("UpdateFederatedPerson", &body).await;
}

#[tokio::test]
async fn an_answer_counts_at_the_address_of_its_provider_alone_at_any_gateway() {
    let (mut desk, provider) = desk().await;
    let own = format!("/sign-in/callback/{CORP}");
    for path in ["/sign-in/callback", "/sign-in/callback/other", "/sign-in/callback/%63orp"] {
        let begun = desk.begin("").await;
        assert_eq!(begun.callback, own);
        desk.move_on(still_api::parts).await;
        let query = format!("code={}", begun.nonce);
        let page = desk.answer_at(path, &begun, &query, "198.51.100.1:1").await;
        assert!(page.told().contains("came to another address"), "{path}: {page:?}");
        let lost = page.cookies.iter().any(|one| one.contains("Max-Age=0"));
        assert!(lost, "the browser has lost its attempt: {page:?}");
        assert_eq!(provider.asked(), 0, "{path}: no code went to it");
    }
    let page = desk.answer(&desk.begin("").await).await;
    assert!(page.value("code").is_some(), "at its own address: {page:?}");
}

#[tokio::test]
async fn a_provider_of_an_older_version_stays_at_the_shared_address_until_it_is_moved() {
    let (desk, provider) = desk().await;
    let mut settings = desk.settings(&[("ops", "operator")]);
    settings["RedirectAddress"] = json!("Shared");
    update(&desk, settings.clone()).await;
    assert_eq!(desk.begin("").await.callback, "/sign-in/callback");
    assert!(desk.answer(&desk.begin("").await).await.value("code").is_some());
    // A change that does not name it keeps it, also while a second provider is made.
    settings["RedirectAddress"] = Value::Null;
    update(&desk, settings).await;
    let second = json!({ "ProviderName": "second", "Issuer": "https://second.example",
                         "ClientId": "towline" });
    desk.admin("CreateIdentityProvider", &second).await;
    assert_eq!(desk.begin("&provider=corp").await.callback, "/sign-in/callback");
    let shown = desk.admin("GetIdentityProvider", &json!({ "ProviderName": "second" })).await;
    let of_second = "https://gw.test/sign-in/callback/second";
    assert_eq!(shown["IdentityProvider"]["RedirectUri"], of_second, "{shown}");
    let waiting = desk.begin("&provider=corp").await;
    update(&desk, json!({ "ProviderName": CORP, "RedirectAddress": "Own" })).await;
    let asked = provider.asked();
    let page = desk.answer(&waiting).await;
    assert!(page.text.contains("before corp was given one of its own"), "{page:?}");
    assert_eq!(provider.asked(), asked, "no code went to it");
    let again = desk.follow(&page.again()).await;
    assert_eq!(again.callback, "/sign-in/callback/corp");
    assert!(desk.answer(&again).await.value("code").is_some(), "the program was not refused");
    let moved = desk.begin("&provider=corp").await;
    assert_eq!(moved.callback, "/sign-in/callback/corp");
    assert!(desk.answer(&moved).await.value("code").is_some(), "all else stays as it was");
}

#[tokio::test]
async fn what_a_blocked_person_had_is_over_also_when_she_is_let_in_again() {
    let (desk, provider) = desk().await;
    provider.says(|says| says.renews = true);
    let (keys, cookie) = (desk.sign_in("").await, desk.browser().await);
    let under_way = desk.answer(&desk.begin("").await).await;
    let wanted = json!({ "Reason": "work", "Targets": [
        { "Key": "tag:Environment", "Values": ["prod"] }] });
    let asked = desk.call(Some(&keys), "StartAccessRequest", &wanted).await.json();
    let request = json!({ "AccessRequestId": asked["AccessRequestId"] });
    desk.admin("ApproveAccessRequest", &request).await;
    desk.clock.advance(Duration::from_secs(1));
    set_blocked(&desk, true).await;
    desk.clock.advance(Duration::from_secs(1));
    set_blocked(&desk, false).await;
    desk.clock.advance(Duration::from_secs(1));
    let late = desk.call(Some(&keys), "DescribeSessions", &json!({ "State": "Active" })).await;
    assert_eq!(late.code(), UNKNOWN, "credentials: {late:?}");
    assert!(late.text.contains("was blocked here since"), "{late:?}");
    let page = desk.by_cookie(&cookie, "GetSignIn", &json!({})).await;
    assert_ne!(page.code(), "done", "a browser: {page:?}");
    assert_ne!(desk.redeem(&under_way).await.code(), "done", "what waited for its program");
    let renewal = json!({ "RefreshToken": keys.refresh });
    assert_ne!(desk.post("/sign-in/refresh", &renewal).await.code(), "done", "a renewal");
    let again = desk.sign_in("").await;
    let given = desk.call(Some(&again), "GetAccessToken", &request).await.json();
    assert_eq!(given["AccessRequestStatus"], "Revoked", "access of before: {given}");
    let sessions = json!({ "State": "Active" });
    assert_eq!(desk.call(Some(&again), "DescribeSessions", &sessions).await.code(), "done");
}
