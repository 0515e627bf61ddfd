//! Sign-ins through an identity provider that changes, is removed, is away or has another time
//! while somebody waits. Time is moved by hand.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

mod sign_in_desk;
mod still_api;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sign_in_desk::provider::Provider;
use sign_in_desk::{Begun, CORP, Desk, Keys, Page, begun};
use towline_gateway::limits;

const UNKNOWN: &str = "UnrecognizedClientException";
const AWAY: (u16, &str) = (503, "<html>back in a minute</html>");
/// More answers than one request is sent.
const LONG_AWAY: [(u16, &str); 5] = [AWAY; 5];

async fn desk() -> (Desk, Arc<Provider>) {
    Desk::open(still_api::parts).await
}

async fn remove(desk: &Desk) {
    desk.admin("DeleteIdentityProvider", &json!({ "ProviderName": CORP })).await;
}

async fn update(desk: &Desk, settings: Value) {
    desk.admin("UpdateIdentityProvider", &settings).await;
}

/// For jobs alone.
async fn take_the_client_away(desk: &Desk) {
    let mut settings = desk.settings(&[("ops", "operator")]);
    settings["ClientId"] = Value::Null;
    settings["ClientSecret"] = Value::Null;
    settings["Audiences"] = json!(["jobs"]);
    update(desk, settings).await;
}

async fn set_blocked(desk: &Desk, blocked: bool) {
    let status = if blocked { "Blocked" } else { "Active" };
    let body = json!({ "ProviderName": CORP, "Subject": "ann", "Status": status });
    desk.admin("UpdateFederatedPerson", &body).await;
}

#[tokio::test]
async fn a_provider_that_is_removed_or_loses_its_client_while_a_person_is_there_signs_nobody_in() {
    let (desk, provider) = desk().await;
    let (begun, other) = (desk.begin("").await, desk.begin("").await);
    take_the_client_away(&desk).await;
    let told = desk.answer(&begun).await.told();
    assert!(told.contains("signs no people in"), "{told}");
    remove(&desk).await;
    let told = desk.answer(&other).await.told();
    assert!(told.contains("was removed here"), "{told}");
    assert_eq!(provider.asked(), 0, "no code went to it");
}

#[tokio::test]
async fn a_provider_that_changes_while_it_is_asked_gives_nobody_a_role_by_what_it_was() {
    let (desk, provider) = desk().await;
    provider.says(|says| says.waits = true);
    let meanwhile = async |change: Value| {
        let begun = desk.begin("").await;
        let changes = async {
            provider.is_asked().await;
            match change {
                Value::Null => remove(&desk).await,
                settings => update(&desk, settings).await,
            }
            provider.go_on();
        };
        tokio::join!(desk.answer(&begun), changes).0
    };
    desk.role("guest", &["ssm:DescribeSessions"]).await;
    let page = meanwhile(desk.settings(&[("ops", "guest")])).await;
    assert!(page.text.contains("was changed here meanwhile"), "{page:?}");
    let again = page.again();
    provider.says(|says| says.waits = false);
    let page = desk.answer(&desk.follow(&again).await).await;
    let keys = Keys::of(&desk.redeem(&page).await.json());
    let refused = desk.call(Some(&keys), "ListAccessRequests", &json!({})).await;
    assert!(refused.text.contains("assumed-role/guest/ann"), "the new role: {}", refused.text);
    provider.says(|says| says.waits = true);
    let told = meanwhile(Value::Null).await.told();
    assert!(told.contains("was removed here"), "{told}");
}

#[tokio::test]
async fn a_link_of_another_page_signs_no_program_in_before_a_click() {
    let (desk, _provider) = desk().await;
    for site in ["cross-site", "same-site"] {
        let page = desk.start_from(site, "&role=operator").await;
        assert!(page.status == 200 && page.cookies.is_empty(), "{site}: {page:?}");
        assert!(page.text.contains("towline login"), "{site}: {page:?}");
        let begun = desk.follow(&page.link("Sign the program in")).await;
        assert!(desk.answer(&begun).await.value("code").is_some(), "{site}");
    }
    for site in ["none", "same-origin"] {
        let page = desk.start_from(site, "").await;
        assert!(!page.cookies.is_empty() && !page.location.is_empty(), "{site}: {page:?}");
    }
}

#[tokio::test]
async fn credentials_that_wait_for_their_program_end_with_what_they_hang_on() {
    let (desk, _provider) = desk().await;
    let mut pages = Vec::new();
    for _ in 0..4 {
        pages.push(desk.answer(&desk.begin("").await).await);
    }
    let [good, blocked, unmapped, removed] = &pages[..] else { unreachable!() };
    assert!(desk.redeem(good).await.json()["AccessKeyId"].is_string());
    let refused = async |page: &Page, words: &str| {
        let page = desk.redeem(page).await;
        assert_eq!((page.status, page.code().as_str()), (400, UNKNOWN), "{}", page.text);
        assert!(page.text.contains(words), "{}", page.text);
    };
    update(&desk, desk.settings(&[])).await;
    refused(unmapped, "give the role operator no more").await;
    update(&desk, desk.settings(&[("ops", "operator")])).await;
    set_blocked(&desk, true).await;
    refused(blocked, "was blocked here").await;
    set_blocked(&desk, false).await;
    remove(&desk).await;
    refused(removed, "was removed here").await;
}

#[tokio::test]
async fn open_credentials_and_browsers_end_with_the_next_request_and_say_why() {
    let (desk, _provider) = desk().await;
    let (keys, cookie) = (desk.sign_in("").await, desk.browser().await);
    let list = json!({});
    let both = async || {
        let signed = desk.call(Some(&keys), "ListAccessRequests", &list).await;
        let page = desk.by_cookie(&cookie, "ListAccessRequests", &list).await;
        [(signed.code(), signed.text), (page.code(), page.text)]
    };
    assert!(both().await.iter().all(|(code, _)| code == "done"));
    let ended = async |words: &str| {
        let [signed, page] = both().await;
        assert_eq!((signed.0.as_str(), page.0.as_str()), (UNKNOWN, "ExpiredTokenException"));
        assert!(signed.1.contains(words) && page.1.contains(words), "{signed:?} {page:?}");
    };
    take_the_client_away(&desk).await;
    ended("signs no people in any more").await;
    update(&desk, desk.settings(&[("ops", "operator")])).await;
    assert!(both().await.iter().all(|(code, _)| code == "done"), "nothing was lost");
    set_blocked(&desk, true).await;
    ended("was blocked here").await;
    set_blocked(&desk, false).await;
    ended("was blocked here since").await;
    remove(&desk).await;
    let [signed, page] = both().await;
    assert_eq!((signed.0.as_str(), page.0.as_str()), (UNKNOWN, "ExpiredTokenException"));
    assert!(signed.1.contains("was removed here"), "{}", signed.1);
}

#[tokio::test]
async fn a_program_that_waits_for_a_code_ends_with_its_provider_and_with_its_person() {
    let (desk, _provider) = desk().await;
    let decide = async |asked: &Value| {
        let cookie = desk.browser().await;
        let body = json!({ "UserCode": asked["UserCode"], "Decision": "Approve" });
        assert_eq!(desk.by_cookie(&cookie, "DecideSignInRequest", &body).await.code(), "done");
    };
    let (good, late) = (desk.ask_by_code(None).await, desk.ask_by_code(None).await);
    decide(&good).await;
    decide(&late).await;
    assert_eq!(desk.poll(&good).await["Status"], "Approved");
    let (any, of_corp) = (desk.ask_by_code(None).await, desk.ask_by_code(Some(CORP)).await);
    let unclear = desk.ask_by_code(Some(CORP)).await;
    remove(&desk).await;
    let ended = |polled: &Value, words: &str| {
        assert_eq!(polled["Status"], "Rejected", "{polled}");
        assert!(polled["Message"].as_str().unwrap().contains(words), "{polled}");
    };
    ended(&desk.poll(&late).await, "was removed here");
    ended(&desk.poll(&of_corp).await, "was removed here");
    assert_eq!(desk.poll(&any).await["Status"], "Pending", "any other provider will do");
    // Who opens the address meanwhile ends the wait as well.
    let address = unclear["VerificationUri"].as_str().unwrap();
    let place = address.split("to=").nth(1).unwrap().split('&').next().unwrap();
    let page = desk.begin_console(place).await;
    assert!(page.status == 400 && page.text.contains("make an identity provider"), "{page:?}");
    ended(&desk.poll(&unclear).await, "make an identity provider");
}

#[tokio::test]
async fn a_program_by_a_code_has_the_rights_of_a_sign_in_for_no_longer_than_it() {
    let (desk, _provider) = desk().await;
    let cookie = desk.admins_browser().await;
    desk.clock.advance(Duration::from_secs(11 * 3600));
    let asked = desk.ask_by_code(None).await;
    let body = json!({ "UserCode": asked["UserCode"], "Decision": "Approve" });
    assert_eq!(desk.by_cookie(&cookie, "DecideSignInRequest", &body).await.code(), "done");
    let keys = Keys::of(&desk.poll(&asked).await["Credentials"]);
    let list = async || desk.call(Some(&keys), "ListAccessRequests", &json!({})).await.code();
    assert_eq!(list().await, "done");
    desk.clock.advance(Duration::from_secs(3600));
    assert_eq!(list().await, "ExpiredTokenException");
}

#[tokio::test]
async fn names_of_two_people_differ_by_more_than_letter_case() {
    let (desk, provider) = desk().await;
    let arn = async || {
        let keys = desk.sign_in("").await;
        let made = desk.call(Some(&keys), "CreateSignIn", &json!({})).await;
        made.json()["Arn"].as_str().unwrap().to_owned()
    };
    assert!(arn().await.ends_with("/operator/ann"));
    provider.claims(json!({ "sub": "other", "preferred_username": "Ann" }));
    assert!(arn().await.contains("/operator/Ann-"), "another person, another name");
    provider.claims(json!({}));
    assert!(arn().await.ends_with("/operator/ann"), "hers stays");
}

#[tokio::test]
async fn a_renewal_judges_anew_and_says_why_it_ends() {
    let (desk, provider) = desk().await;
    provider.says(|says| says.renews = true);
    let keys = desk.sign_in("").await;
    let secret = json!({ "RefreshToken": keys.refresh.unwrap() });
    let renew = async || desk.post("/sign-in/refresh", &secret).await;
    let refused = async |code: &str, words: &str| {
        let page = renew().await;
        assert_eq!(page.code(), code, "{}", page.text);
        assert!(page.text.contains(words), "{}", page.text);
    };
    update(&desk, desk.settings(&[])).await;
    refused("AccessDeniedException", "none of your groups").await;
    take_the_client_away(&desk).await;
    refused("AccessDeniedException", "signs no people in").await;
    update(&desk, desk.settings(&[("ops", "operator")])).await;
    assert_eq!(renew().await.code(), "done", "none of that ended it");
    provider.says(|says| says.waits = true);
    let meanwhile = async |signs_out: bool| {
        let changes = async {
            provider.is_asked().await;
            if signs_out {
                assert_eq!(desk.post("/sign-in/logout", &secret).await.status, 200);
            } else {
                let mut settings = desk.settings(&[("ops", "operator")]);
                settings["NameClaim"] = json!("name");
                update(&desk, settings).await;
            }
            provider.go_on();
        };
        tokio::join!(renew(), changes).0
    };
    assert_eq!(meanwhile(false).await.code(), "TooManyUpdates", "it may be tried again");
    assert_eq!(meanwhile(true).await.code(), UNKNOWN, "she has signed out");
}

#[tokio::test]
async fn a_person_who_waits_for_a_decision_is_judged_again_when_it_comes() {
    let (desk, _provider) = desk().await;
    let keys = desk.sign_in("").await;
    let targets = json!([{ "Key": "tag:Environment", "Values": ["prod"] }]);
    let ask = json!({ "Reason": "the pump leaks", "Targets": targets });
    let asked = desk.call(Some(&keys), "StartAccessRequest", &ask).await;
    let request = asked.json()["AccessRequestId"].clone();
    let wait = json!({ "AccessRequestId": request, "TowlineWaitSeconds": 20 });
    let decides = async {
        for _ in 0..20 {
            desk.admin("ListAccessRequests", &json!({})).await; // longer than she needs to wait
        }
        update(&desk, desk.settings(&[])).await;
        desk.admin("ApproveAccessRequest", &json!({ "AccessRequestId": request })).await;
    };
    let (given, ()) = tokio::join!(desk.call(Some(&keys), "GetAccessToken", &wait), decides);
    assert_eq!(given.code(), UNKNOWN, "{}", given.text);
    assert!(given.text.contains("give the role operator no more"), "{}", given.text);
    set_blocked(&desk, true).await;
    let extend = json!({ "AccessRequestId": request, "Decision": "Extend", "Minutes": 120 });
    let refused = desk.call(None, "ApproveAccessRequest", &extend).await;
    assert!(refused.text.contains("is blocked: it can only be revoked"), "{}", refused.text);
}

#[tokio::test]
async fn a_provider_that_is_away_for_a_moment_ends_no_sign_in() {
    let (desk, provider) = desk().await;
    provider.says(|says| says.first.push_back(AWAY));
    let begun = desk.begin("").await;
    assert!(desk.answer(&begun).await.value("code").is_some());
    assert_eq!(provider.asked(), 2, "it was asked once more");
    provider.says(|says| says.first.extend(LONG_AWAY));
    let page = desk.answer(&desk.begin("&fresh=true").await).await;
    assert_eq!(page.status, 503, "{page:?}");
    assert_eq!(provider.asked(), 6, "within bounds");
    let again = page.again();
    assert!(again.contains("fresh=true") && again.contains("provider=corp"), "{again}");
    provider.says(|says| says.first.clear());
    provider.claims(json!({ "auth_time": desk.clock.now().0 / 1000 }));
    let done = desk.answer(&desk.follow(&again).await).await;
    assert!(done.value("code").is_some(), "the same program gets its code: {done:?}");
    let busy = "error=temporarily_unavailable";
    let page = desk.answer_with(&desk.begin("").await, busy, "192.0.2.1:1").await;
    assert!(page.text.contains("temporarily_unavailable"), "{page:?}");
    page.again();
}

#[tokio::test]
async fn a_provider_that_refuses_ends_the_wait_at_once() {
    let (desk, provider) = desk().await;
    for (status, answer, words) in [
        (400, r#"{"error":"invalid_grant"}"#, "refused the sign-in: invalid_grant"),
        (400, r#"{"error":"unauthorized_client"}"#, "refused the request: unauthorized_client"),
        (500, r#"{"error":"invalid_request"}"#, "refused the request: invalid_request"),
        (404, "", "status 404"),
        (302, "", "without a redirect"),
    ] {
        let asked = provider.asked();
        provider.says(|says| says.first.push_back((status, answer)));
        let told = desk.answer(&desk.begin("").await).await.told();
        assert!(told.contains(words), "{told}");
        assert_eq!(provider.asked(), asked + 1, "{words}: it was asked once");
    }
    let begun = desk.begin("").await;
    let denied = desk.answer_with(&begun, "error=access_denied", "192.0.2.1:1").await;
    assert!(denied.told().contains("access_denied"), "{denied:?}");
}

#[tokio::test]
async fn a_provider_that_is_away_at_the_start_ends_no_wait() {
    let (desk, provider) = desk().await;
    provider.says(|says| says.is_away = true);
    let page = desk.start("").await;
    assert_eq!(page.status, 503, "{page:?}");
    let again = page.again();
    provider.says(|says| says.is_away = false);
    desk.clock.advance(limits::KEYS_RETRY);
    assert!(desk.answer(&desk.follow(&again).await).await.value("code").is_some());
}

#[tokio::test]
async fn a_program_without_a_browser_waits_on_while_the_provider_is_away() {
    let (desk, provider) = desk().await;
    let asked = desk.ask_by_code(Some(CORP)).await;
    let address = asked["VerificationUri"].as_str().unwrap();
    let place = address.split("to=").nth(1).unwrap().split('&').next().unwrap();
    provider.says(|says| says.first.extend(LONG_AWAY));
    let page = desk.answer(&begun(&desk.begin_console(place).await)).await;
    assert_eq!(page.status, 503, "{page:?}");
    page.again();
    assert_eq!(desk.poll(&asked).await["Status"], "Pending");
}

#[tokio::test]
async fn a_throttled_source_keeps_its_attempt_and_ends_nobodys_wait() {
    let (desk, _provider) = desk().await;
    let begun = desk.begin("").await;
    let wrong = Begun { state: "other".into(), ..begun.clone() };
    for _ in 0..limits::MAX_FAILURES {
        let page = desk.answer_with(&wrong, "code=x", "192.0.2.9:1").await;
        assert_eq!(page.status, 403, "{page:?}");
    }
    let code = format!("code={}", begun.nonce);
    let page = desk.answer_with(&begun, &code, "192.0.2.9:1").await;
    assert_eq!((page.status, page.location.as_str()), (429, ""), "{page:?}");
    assert!(page.text.contains("try again in") && page.cookies.is_empty(), "{page:?}");
    let elsewhere = desk.answer_with(&begun, &code, "192.0.2.1:1").await;
    assert!(elsewhere.value("code").is_some(), "the same answer counts: {elsewhere:?}");
}

#[tokio::test]
async fn a_renewal_outlives_a_provider_that_is_away_and_ends_by_its_refusal() {
    let (desk, provider) = desk().await;
    provider.says(|says| says.renews = true);
    let keys = desk.sign_in("").await;
    let secret = json!({ "RefreshToken": keys.refresh.unwrap() });
    let renew = async || desk.post("/sign-in/refresh", &secret).await;
    provider.says(|says| says.first.push_back(AWAY));
    assert_eq!(renew().await.code(), "done", "it was asked once more");
    provider.says(|says| says.first.extend(LONG_AWAY));
    assert_eq!(renew().await.code(), "IDPCommunicationError");
    provider.says(|says| {
        says.first.clear();
        // Not its answer: that of a page that stands in for it.
        says.first.push_back((200, "<html>we are moving</html>"));
        says.first.push_back((401, r#"{"error":"invalid_client"}"#));
        says.first.push_back((401, r#"{"error":"invalid_client"}"#));
    });
    assert_ne!(renew().await.code(), "done");
    assert_ne!(renew().await.code(), "done");
    provider.says(|says| says.first.clear());
    assert_eq!(renew().await.code(), "done", "none of that ended it");
    provider.says(|says| says.first.push_back((400, r#"{"error":"invalid_grant"}"#)));
    assert_eq!(renew().await.code(), "ExpiredTokenException");
    assert_eq!(renew().await.code(), UNKNOWN, "it is over");
}

/// Whether a sign-in is done with these claims, in seconds from the API's time.
async fn signs_in(
    (desk, provider): (&Desk, &Provider),
    fresh: bool,
    claims: &[(&str, i64)],
) -> Result<(), String> {
    let more = if fresh { "&fresh=true" } else { "" };
    let begun = desk.begin(more).await;
    let now = desk.clock.now().0 / 1000;
    let claims = claims.iter().map(|(name, at)| ((*name).to_owned(), json!(now + at)));
    provider.claims(Value::Object(claims.collect()));
    let page = desk.answer(&begun).await;
    if page.value("code").is_none() {
        return Err(page.told());
    }
    let given = desk.redeem(&page).await;
    assert_eq!(given.code(), "done", "{}", given.text);
    Ok(())
}

#[tokio::test]
async fn clocks_may_be_sixty_seconds_apart_in_a_whole_sign_in() {
    let (desk, provider) = desk().await;
    // Also within a second, and with the time of day of a provider that counts whole ones.
    for part in [0, 1, 999] {
        desk.clock.advance(Duration::from_millis(part));
        let both = (&desk, &*provider);
        for claims in [
            [("exp", -59), ("iat", -300), ("nbf", -300), ("auth_time", -300)],
            [("exp", 300), ("iat", 59), ("nbf", 59), ("auth_time", 59)],
            [("exp", 300), ("iat", 60), ("nbf", 60), ("auth_time", 60)],
            // Its clock is 59 s behind, and 61 s.
            [("exp", 241), ("iat", -59), ("nbf", -59), ("auth_time", -59)],
            [("exp", 239), ("iat", -61), ("nbf", -61), ("auth_time", -61)],
        ] {
            assert_eq!(signs_in(both, false, &claims).await, Ok(()), "{claims:?}");
        }
        for (claims, words) in [
            (vec![("exp", -60)], "expired"),
            (vec![("exp", -61)], "expired"),
            (vec![("iat", 61)], "not valid yet"),
            (vec![("nbf", 61)], "not valid yet"),
            (vec![("auth_time", 61)], "not valid yet"),
        ] {
            let refused = signs_in(both, false, &claims).await.unwrap_err();
            assert!(refused.contains(words), "{claims:?}: {refused}");
        }
        // The provider was told that no older sign-in counts (max_age=0).
        for (at, good) in [(-61, false), (-59, true), (0, true), (59, true), (61, false)] {
            let signed = signs_in(both, true, &[("auth_time", at)]).await;
            assert_eq!(signed.is_ok(), good, "{at}: {signed:?}");
        }
        assert!(signs_in(both, true, &[]).await.unwrap_err().contains("asked you again"));
    }
}

#[tokio::test]
async fn a_sign_in_goes_on_at_any_gateway_and_is_used_once_at_all_of_them() {
    let (mut desk, _provider) = desk().await;
    let begun = desk.begin("").await;
    desk.move_on(still_api::parts).await;
    let page = desk.answer(&begun).await;
    assert!(page.value("code").is_some(), "answered at the second: {page:?}");
    desk.move_on(still_api::parts).await;
    let answered = desk.answer(&begun).await;
    assert!(answered.text.contains("or it was used"), "the same answer at a third: {answered:?}");
    assert!(desk.redeem(&page).await.json()["AccessKeyId"].is_string(), "the code at a third");
    desk.move_on(still_api::parts).await;
    assert_eq!(desk.redeem(&page).await.code(), UNKNOWN, "once");
    let late = desk.answer(&desk.begin("").await).await;
    desk.clock.advance(limits::PROGRAM_CODE);
    assert_eq!(desk.redeem(&late).await.code(), UNKNOWN, "for a minute");
}

#[tokio::test]
async fn an_answer_that_is_refused_keeps_no_place() {
    let (desk, _provider) = desk().await;
    let begun = desk.begin("").await;
    for _ in 0..3 {
        desk.answer_with(&begun, "code=of-somebody-else", "198.51.100.1:1").await.told();
    }
    assert!(desk.answer(&begun).await.value("code").is_some(), "it was forgotten");
    assert!(desk.answer(&begun).await.text.contains("or it was used"), "and leads there once");
}

/// An administrator stops the provider, or lets it in again.
async fn set_stopped(desk: &Desk, stopped: bool) {
    let status = if stopped { "Disabled" } else { "Enabled" };
    let body = json!({ "ProviderName": CORP, "Status": status });
    desk.admin("UpdateIdentityProviderStatus", &body).await;
}

#[tokio::test]
async fn a_provider_that_is_stopped_signs_nobody_in_at_any_step() {
    const WORDS: &str = "disabled here";
    let (desk, provider) = desk().await;
    provider.says(|says| says.renews = true);
    let (begun, changed) = (desk.begin("").await, desk.begin("").await);
    let waits = desk.answer(&desk.begin("").await).await;
    let secret = json!({ "RefreshToken": desk.sign_in("").await.refresh });
    let asked = desk.ask_by_code(Some(CORP)).await;
    let before = provider.asked();
    set_stopped(&desk, true).await;
    for told in [desk.answer(&begun).await.told(), desk.start("").await.told()] {
        assert!(told.contains(WORDS), "{told}");
    }
    let page = desk.begin_console("%2F").await;
    assert!(page.status == 403 && page.text.contains(WORDS), "{page:?}");
    let page = desk.redeem(&waits).await;
    assert!(page.code() == UNKNOWN && page.text.contains(WORDS), "{}", page.text);
    assert_eq!(desk.post("/sign-in/refresh", &secret).await.code(), UNKNOWN);
    let polled = desk.poll(&asked).await;
    assert!(polled["Message"].as_str().unwrap().contains(WORDS), "{polled}");
    let none = desk.ask_by_code(Some(CORP)).await;
    assert!(none["message"].as_str().unwrap().contains(WORDS), "{none}");
    assert_eq!(provider.asked(), before, "nothing went to it");
    // Other settings do not start it.
    update(&desk, desk.settings(&[("ops", "operator")])).await;
    assert!(desk.start("").await.told().contains(WORDS));
    set_stopped(&desk, false).await;
    assert_eq!(desk.post("/sign-in/refresh", &secret).await.code(), UNKNOWN, "it stays over");
    desk.clock.advance(Duration::from_secs(1));
    assert!(desk.answer(&changed).await.value("code").is_some(), "who proves it now is let in");
}

#[tokio::test]
async fn what_a_stopped_provider_vouched_for_is_over_also_when_it_is_let_in_again() {
    let (desk, _provider) = desk().await;
    let (keys, cookie) = (desk.sign_in("").await, desk.browser().await);
    let list = json!({});
    let ended = async |words: &str| {
        let signed = desk.call(Some(&keys), "ListAccessRequests", &list).await;
        let page = desk.by_cookie(&cookie, "ListAccessRequests", &list).await;
        assert_eq!((&*signed.code(), &*page.code()), (UNKNOWN, "ExpiredTokenException"));
        assert!(signed.text.contains(words) && page.text.contains(words), "{signed:?} {page:?}");
    };
    set_stopped(&desk, true).await;
    ended("is disabled here").await;
    let shown = desk.admin("GetIdentityProvider", &json!({ "ProviderName": CORP })).await;
    assert_eq!(shown["IdentityProvider"]["Status"], "Disabled", "{shown}");
    let headers = [("host", "gw.test")];
    let names = async || {
        let (get, path) = (axum::http::Method::GET, "/sign-in/providers");
        desk.send(get, path, &headers, String::new(), "192.0.2.1:1").await.json()
    };
    assert_eq!(names().await, json!({ "Providers": [], "Disabled": [CORP] }));
    set_stopped(&desk, false).await;
    assert_eq!(names().await, json!({ "Providers": [CORP] }));
    ended("was disabled since").await;
    desk.clock.advance(Duration::from_secs(1));
    let new = desk.sign_in("").await;
    assert_eq!(desk.call(Some(&new), "ListAccessRequests", &list).await.code(), "done");
    let lines = desk.store.audit().list(0, 200).await.unwrap();
    let line = lines.iter().find(|(_, line)| line.contains("\"UpdateIdentityProviderStatus\""));
    assert!(line.unwrap().1.contains("\"status\":\"Disabled\""), "{line:?}");
}

#[tokio::test]
async fn an_approver_who_lost_her_mapping_has_approved_nothing() {
    let (desk, provider) = desk().await;
    let two = json!({ "schemaVersion": "1.0", "accessDurationHours": 1,
                      "approvalLevels": [{ "minRequiredApprovals": 2 }] });
    let document = json!({ "Name": "Two", "DocumentType": "ManualApprovalPolicy",
                           "DocumentFormat": "JSON", "Content": two.to_string() });
    desk.admin("CreateDocument", &document).await;
    desk.role("second", &["towline:*"]).await;
    update(&desk, desk.settings(&[("ops", "operator"), ("dev", "second")])).await;
    desk.clock.advance(Duration::from_secs(1));
    let ann = desk.sign_in("").await;
    let mut others = Vec::new();
    for subject in ["bob", "cid"] {
        provider.claims(json!({ "sub": subject, "preferred_username": subject,
                                "groups": ["dev"] }));
        others.push(desk.sign_in("").await);
    }
    let targets = json!([{ "Key": "tag:Environment", "Values": ["prod"] }]);
    let ask = json!({ "Reason": "the pump leaks", "Targets": targets });
    let request = desk.admin("StartAccessRequest", &ask).await["AccessRequestId"].clone();
    let approve = async |keys: &Keys| {
        let body = json!({ "AccessRequestId": request });
        let page = desk.call(Some(keys), "ApproveAccessRequest", &body).await;
        assert_eq!(page.code(), "done", "{}", page.text);
        page.json()["AccessRequestStatus"].clone()
    };
    let shown = async || {
        let all = desk.admin("ListAccessRequests", &json!({})).await;
        all["AccessRequests"][0]["Levels"][0]["ApprovedBy"].as_array().unwrap().len()
    };
    assert_eq!(approve(&ann).await, "Pending");
    assert_eq!(shown().await, 1);
    update(&desk, desk.settings(&[("dev", "second")])).await;
    assert_eq!(shown().await, 0);
    assert_eq!(approve(&others[0]).await, "Pending", "hers does not count any more");
    assert_eq!(approve(&others[1]).await, "Approved");
}
