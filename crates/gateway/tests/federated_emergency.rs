//! An emergency of a person of an identity provider, from the refusal without a second factor to
//! the end of her access. Time is moved by hand.
#![allow(clippy::unwrap_used)] // also outside of the test functions: all of this is a test

mod sign_in_desk;
mod still_api;

use std::time::Duration;

use serde_json::{Value, json};
use sign_in_desk::{CORP, Desk, Keys};

const DENIED: &str = "AccessDeniedException";
const INVALID: &str = "ValidationException";

/// The group `ops` may open access to production with a second factor of the last ten minutes; the
/// receiver of notifications is down.
async fn desk() -> (Desk, std::sync::Arc<sign_in_desk::provider::Provider>) {
    let (desk, provider) = Desk::open(still_api::parts).await;
    let emergency = json!([
        { "Effect": "Allow", "Action": "towline:BreakGlass", "Resource": "*",
          "Condition": { "NumericLessThan": { "aws:MultiFactorAuthAge": "600" },
                         "StringEquals": { "ssm:resourceTag/Environment": "prod" } } },
        { "Effect": "Allow", "Action": "towline:ListAccessRequests", "Resource": "*" },
        { "Effect": "Allow", "Action": "towline:ApproveAccessRequest", "Resource": "*" },
    ]);
    desk.policy("operator", &emergency).await;
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hook = json!({ "WebhookName": "shift", "Url": format!("http://{down}/") });
    desk.admin("CreateWebhook", &hook).await;
    (desk, provider)
}

fn wanted(reason: &str, environment: &str, minutes: i64) -> Value {
    json!({ "Reason": reason, "Minutes": minutes,
            "Targets": [{ "Key": "tag:Environment", "Values": [environment] }] })
}

/// What waits for the receiver.
async fn waiting(desk: &Desk) -> Option<Value> {
    let hooks = desk.store.notifications().webhooks().await.unwrap();
    let first = desk.store.notifications().first(&hooks[0].unique_id).await.unwrap();
    first.map(|first| serde_json::from_str(&first.message.body).unwrap())
}

async fn requests(desk: &Desk) -> Vec<Value> {
    let all = desk.admin("ListAccessRequests", &json!({})).await;
    all["AccessRequests"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_emergency_needs_action_reason_bounds_and_the_second_factor_that_is_set() {
    let (desk, provider) = desk().await;
    let now = desk.clock.now().0 / 1000;
    let leaks = wanted("the pump leaks", "prod", 15);
    for claims in [
        json!({}),
        json!({ "amr": ["pwd"], "auth_time": now }),
        json!({ "amr": ["mfa"] }),
        json!({ "amr": ["mfa"], "auth_time": now - 600 }),
        json!({ "amr": "mfa", "auth_time": now }),
    ] {
        provider.claims(claims.clone());
        let keys = desk.sign_in("").await;
        let refused = desk.call(Some(&keys), "BreakGlass", &leaks).await;
        assert_eq!(refused.code(), DENIED, "{claims}: {}", refused.text);
        assert!(refused.text.contains("towline:BreakGlass"), "{}", refused.text);
    }
    provider.claims(json!({ "amr": ["mfa"], "auth_time": now - 500 }));
    let keys = desk.sign_in("").await;
    for (request, code) in [
        (wanted("the pump leaks", "dev", 15), DENIED),
        (wanted("", "prod", 15), INVALID),
        (wanted(" \u{a0}.", "prod", 15), INVALID),
        (wanted("the pump leaks", "prod", 14), INVALID),
        (wanted("the pump leaks", "prod", 241), INVALID),
    ] {
        let refused = desk.call(Some(&keys), "BreakGlass", &request).await;
        assert_eq!(refused.code(), code, "{request}: {}", refused.text);
    }
    assert!(requests(&desk).await.is_empty() && waiting(&desk).await.is_none());
    assert_eq!(desk.call(Some(&keys), "BreakGlass", &leaks).await.code(), "done");
    desk.clock.advance(Duration::from_secs(101));
    let late = desk.call(Some(&keys), "BreakGlass", &wanted("again", "prod", 15)).await;
    assert_eq!(late.code(), DENIED, "her second factor is too old by now");
}

#[tokio::test]
async fn an_emergency_is_told_with_its_credentials_and_ends_with_its_time_or_its_person() {
    let (desk, provider) = desk().await;
    let now = desk.clock.now().0 / 1000;
    provider.claims(json!({ "amr": ["mfa"], "auth_time": now }));
    let keys = desk.sign_in("").await;
    let opened = desk.call(Some(&keys), "BreakGlass", &wanted("the pump leaks", "prod", 15)).await;
    let (request, opened) = (opened.json()["AccessRequestId"].clone(), opened.json());
    // The receiver is down, and everybody who decides sees it.
    let letter = waiting(&desk).await.unwrap();
    assert_eq!(letter["type"], "access_request.break_glass", "{letter}");
    assert_eq!(letter["data"]["reason"], "the pump leaks");
    assert_eq!(letter["data"]["accessRequestId"], request);
    let by = "arn:aws:sts::000000000000:assumed-role/operator/ann";
    assert_eq!(letter["data"]["by"], by);
    let shown = requests(&desk).await;
    assert_eq!(
        (&shown[0]["Kind"], &shown[0]["Status"]),
        (&json!("BreakGlass"), &json!("Approved"))
    );
    assert_eq!(
        (&shown[0]["Requester"], &shown[0]["Reason"]),
        (&json!(by), &json!("the pump leaks"))
    );
    let lines = desk.store.audit().list(0, 100).await.unwrap();
    let line = lines.iter().find(|(_, line)| line.contains("\"BreakGlass\"")).unwrap();
    assert!(line.1.contains("the pump leaks") && line.1.contains("ann"), "{}", line.1);

    let access = Keys::of(&opened["Credentials"]);
    let asks = async || desk.call(Some(&access), "ListAccessRequests", &json!({})).await;
    assert_eq!(asks().await.code(), "done");
    // It is hers alone: not extended, and not decided about by herself.
    for decision in ["Extend", "Revoke", "Reject", "Approve"] {
        let body = json!({ "AccessRequestId": request, "Decision": decision });
        for own in [&keys, &access] {
            let refused = desk.call(Some(own), "ApproveAccessRequest", &body).await;
            assert!(refused.text.contains("her own request"), "{decision}: {}", refused.text);
        }
    }
    let extend = json!({ "AccessRequestId": request, "Decision": "Extend" });
    let refused = desk.call(None, "ApproveAccessRequest", &extend).await;
    assert_eq!(refused.code(), INVALID, "{}", refused.text);
    let person = |status: &str| json!({ "ProviderName": CORP, "Subject": "ann", "Status": status });
    desk.admin("UpdateFederatedPerson", &person("Blocked")).await;
    assert!(asks().await.text.contains("was blocked here"));
    desk.admin("UpdateFederatedPerson", &person("Active")).await;
    assert!(asks().await.text.contains("was blocked here since"), "it stays over");
    assert_eq!(requests(&desk).await[0]["Status"], "Revoked");
}

#[tokio::test]
async fn an_emergency_ends_with_its_time() {
    let (desk, provider) = desk().await;
    provider.claims(json!({ "amr": ["mfa"], "auth_time": desk.clock.now().0 / 1000 }));
    let keys = desk.sign_in("").await;
    let opened = desk.call(Some(&keys), "BreakGlass", &wanted("the pump leaks", "prod", 15)).await;
    let access = Keys::of(&opened.json()["Credentials"]);
    let asks = async || desk.call(Some(&access), "ListAccessRequests", &json!({})).await;
    assert_eq!(asks().await.code(), "done");
    desk.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(asks().await.code(), "ExpiredTokenException");
    assert_eq!(requests(&desk).await[0]["Status"], "Expired");
}

#[tokio::test]
async fn who_decides_takes_an_emergency_back_with_the_next_request() {
    let (desk, provider) = desk().await;
    provider.claims(json!({ "amr": ["mfa"], "auth_time": desk.clock.now().0 / 1000 }));
    let keys = desk.sign_in("").await;
    let opened = desk.call(Some(&keys), "BreakGlass", &wanted("the pump leaks", "prod", 15)).await;
    let opened = opened.json();
    let access = Keys::of(&opened["Credentials"]);
    let body = json!({ "AccessRequestId": opened["AccessRequestId"], "Decision": "Revoke" });
    desk.admin("ApproveAccessRequest", &body).await;
    let refused = desk.call(Some(&access), "ListAccessRequests", &json!({})).await;
    assert_eq!(refused.code(), "ExpiredTokenException", "{}", refused.text);
    assert!(refused.text.contains("was revoked"), "{}", refused.text);
    let again = desk.call(Some(&access), "BreakGlass", &wanted("still", "prod", 15)).await;
    assert_eq!(again.code(), "ExpiredTokenException");
}

#[tokio::test]
async fn access_makes_no_lasting_credentials_of_those_that_end_soon() {
    let (desk, provider) = desk().await;
    let all = json!([{ "Effect": "Allow", "Action": ["ssm:*", "towline:*"], "Resource": "*" }]);
    desk.policy("operator", &all).await;
    provider.claims(json!({ "amr": ["mfa"], "auth_time": desk.clock.now().0 / 1000 }));
    let keys = desk.sign_in("").await;
    let opened = desk.call(Some(&keys), "BreakGlass", &wanted("the pump leaks", "prod", 240)).await;
    let opened = opened.json();
    let again = json!({ "AccessRequestId": opened["AccessRequestId"] });
    let end = |given: &Value| given["Credentials"]["ExpirationTime"].as_f64().unwrap();
    let hour = 3600.0 + f64::from(i32::try_from(desk.clock.now().0 / 1000).unwrap());
    assert!((end(&opened) - hour).abs() < 1.0, "{opened}");
    // Nor do they make further ones of themselves.
    desk.clock.advance(Duration::from_secs(50 * 60));
    let access = Keys::of(&opened["Credentials"]);
    let further = desk.call(Some(&access), "GetAccessToken", &again).await.json();
    assert!((end(&further) - hour).abs() < 1.0, "{further}");
    desk.clock.advance(Duration::from_secs(11 * 60));
    for over in [access, Keys::of(&further["Credentials"])] {
        let refused = desk.call(Some(&over), "ListAccessRequests", &json!({})).await;
        assert_eq!(refused.code(), "ExpiredTokenException", "{}", refused.text);
    }
    // Who signs in again has access as long as it was given.
    let new = desk.sign_in("").await;
    assert_eq!(desk.call(Some(&new), "GetAccessToken", &again).await.code(), "done");
}
