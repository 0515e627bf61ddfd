//! People sign in to the console through a real identity provider (npm oidc-provider).

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use towline_testkit::https::Request;
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::process::Running;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, machine};

use super::{browser, perform, serve_console_at};

/// The gateway may ask a provider on loopback.
const OUTBOUND: &str = "[outbound]\nallow = [\"127.0.0.1\"]\n";
const SECRET: &str = "hush+&=:%";
/// How long the provider may take to start.
const SOON: Duration = Duration::from_secs(30);

/// A provider whose client is this gateway, with its issuer.
fn provider(lab: &Lab, origin: &str) -> Outcome<(Running, String)> {
    let mut command = Command::new("node");
    machine::forget(&mut command);
    command.arg(workspace().join("tests/e2e/node/oidc_provider.js"));
    command.env("NODE_PATH", std::env::var_os("NODE_PATH").unwrap_or_default());
    command.env("REDIRECT_URI", format!("{origin}/sign-in/callback/corp"));
    let log = lab.directory().join("provider.log");
    let mut provider = Running::start("provider", command, &log)?;
    let issuer = provider.wait_for("the provider's issuer", 0, SOON, |printed| {
        printed.lines().find(|line| line.starts_with("http://")).map(str::to_owned)
    })?;
    Ok((provider, issuer))
}

/// Settings that give people of the group `ops` this role.
fn mapping(role: &str) -> serde_json::Value {
    json!({
        "ProviderName": "corp", "ClientId": "towline", "ClientSecret": SECRET,
        "Scopes": ["groups"], "NameClaim": "preferred_username", "GroupsClaim": "groups",
        "GroupRoles": [{ "Group": "ops", "Role": role }]
    })
}

/// A role that may do everything, for people of a provider alone.
fn role(lab: &Lab, name: &str) -> Outcome {
    let trust = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}]}"#;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let (admin, of) = (lab.admin(), "Role");
    admin.api(
        "Towline.CreatePrincipal",
        &json!({ "PrincipalName": name, "PrincipalType": of, "TrustPolicyDocument": trust }),
    )?;
    let put = json!({
        "PrincipalName": name, "PrincipalType": of, "PolicyName": "all", "PolicyDocument": policy
    });
    admin.api("Towline.PutPrincipalPolicy", &put).map(drop)
}

/// What stands in an element of an answer.
fn element<'t>(xml: &'t str, name: &str) -> Outcome<&'t str> {
    let rest = xml.split(&format!("<{name}>")).nth(1);
    let found = rest.and_then(|rest| rest.split('<').next());
    found.ok_or_else(|| Trouble::new(format!("no {name} in {xml}")))
}

#[test]
fn a_person_signs_in_to_the_console_through_a_provider() -> Outcome {
    let config = OUTBOUND.to_owned();
    let mut lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let (_provider, issuer) = provider(&lab, &origin)?;
    for name in ["operator", "other"] {
        role(&lab, name)?;
    }
    let mut new = mapping("operator");
    new["Issuer"] = issuer.clone().into();
    lab.admin().api("Towline.CreateIdentityProvider", &new)?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_provider.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_CLI", lab.admin().towline(&[]).get_program());
    command.env("TOWLINE_CA", lab.gateway.ca());
    let temporary = lab.admin().send(&Request::form("GetSessionToken"))?.body;
    for (variable, name) in [
        ("TOWLINE_TEMPORARY_KEY", "AccessKeyId"),
        ("TOWLINE_TEMPORARY_SECRET", "SecretAccessKey"),
        ("TOWLINE_TEMPORARY_TOKEN", "SessionToken"),
    ] {
        command.env(variable, element(&temporary, name)?);
    }
    let admin = lab.admin();
    let settings = |role: &str| admin.api("Towline.UpdateIdentityProvider", &mapping(role));
    let set = |status: &str| {
        let person = json!({ "ProviderName": "corp", "Subject": "ann", "Status": status });
        admin.api("Towline.UpdateFederatedPerson", &person)
    };
    perform(command, |what| match what {
        "remove the mapping" => settings("other").map(drop),
        "restore the mapping" => settings("operator").map(drop),
        "block ann" => set("Blocked").map(drop),
        "unblock ann" => set("Active").map(drop),
        "remove the provider" => {
            let gone = json!({ "ProviderName": "corp" });
            admin.api("Towline.DeleteIdentityProvider", &gone).map(drop)
        }
        "restart the gateway" => {
            lab.gateway.kill()?;
            lab.gateway.start_again()
        }
        other => Err(Trouble::new(format!("the browser asks for {other}"))),
    })?;
    let log = lab.gateway.logged();
    let line = log.lines().find(|line| {
        line.contains("\"eventName\":\"SignInWithProvider\"") && !line.contains("\"errorCode\"")
    });
    let line = line.ok_or_else(|| Trouble::new("no audit line of the sign-in"))?;
    for part in ["\"subject\":\"ann\"", "\"roleName\":\"operator\"", "\"for\":\"console\""] {
        ensure(line.contains(part), || format!("no {part} in {line}"))?;
    }
    for name in ["GetSignInRequest", "DecideSignInRequest"] {
        let event = format!("\"eventName\":\"{name}\"");
        let done = |line: &&str| line.contains(&event) && line.contains("requestSourceIPAddress");
        ensure(log.lines().any(|line| done(&line)), || format!("no audit line of {name}"))?;
    }
    ensure(!log.contains("__Host-towline"), || "a cookie is in the log".into())
}

#[test]
fn a_person_signs_in_to_the_console_through_a_second_provider() -> Outcome {
    let config = OUTBOUND.to_owned();
    let mut lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let mut command = lab.admin().python();
    command.arg(workspace().join("tests/e2e/python/nano_provider.py"));
    command.arg(lab.directory().join("nano"));
    command.env("REDIRECT_URI", format!("{origin}/sign-in/callback/corp"));
    let mut provider = Running::start("nanoidp", command, &lab.directory().join("nano.log"))?;
    let issuer = provider.wait_for("the provider's issuer", 0, SOON, |printed| {
        printed.lines().find(|line| line.starts_with("http://")).map(str::to_owned)
    })?;
    provider.wait_for("the provider listens", 0, SOON, |printed| {
        printed.contains("Running on").then_some(())
    })?;
    role(&lab, "operator")?;
    let mut new = mapping("operator");
    new["Issuer"] = issuer.into();
    new["Scopes"] = json!(["profile"]);
    new["SecondFactors"] = json!(["otp"]);
    lab.admin().api("Towline.CreateIdentityProvider", &new)?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_second_provider.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}
