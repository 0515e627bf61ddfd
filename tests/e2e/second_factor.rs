//! A second factor that a policy wants: the refusal names it, and `towline` asks for it at a terminal and
//! makes the same request again.

use serde_json::json;
use towline_testkit::lab::{Lab, Operator};
use towline_testkit::terminal::PATIENCE;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use crate::codes::DENIED;

/// Everything about her own codes, and shells with a second factor that was proved within ten minutes.
const STRICT: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["towline:CreateSecondFactor","towline:EnableSecondFactor",
     "towline:DeleteSecondFactor","ssm:DescribeInstanceInformation"],"Resource":"*"},
    {"Effect":"Allow","Action":["ssm:StartSession","ssm:DescribeSessions"],"Resource":"*",
     "Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":"600"}}},
    {"Effect":"Allow","Action":["ssm:ResumeSession","ssm:TerminateSession"],"Resource":"*"}]}"#;

/// The code of a secret; `steps` of 30 s from now.
fn code_of(lab: &Lab, secret: &str, steps: i8) -> Outcome<String> {
    let script = "import base64,hmac,struct,sys,time\n\
        mac = hmac.new(base64.b32decode(sys.argv[1]), struct.pack('>Q', int(time.time()) // 30 + int(sys.argv[2])), 'sha1').digest()\n\
        at = mac[-1] & 15\n\
        print(f\"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06d}\", end='')";
    let mut python = lab.admin().python();
    let out = python.args(["-c", script, secret, &steps.to_string()]).output()?;
    ensure(out.status.success(), || format!("{out:?}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs `towline WORDS…` with this line as standard input.
fn with_line(user: &Operator, words: &[&str], line: &str) -> Outcome {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = user.towline(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| Trouble::new("no standard input"))?;
    stdin.write_all(line.as_bytes())?;
    drop(stdin);
    let out = child.wait_with_output()?;
    ensure(out.status.success(), || format!("towline {words:?}: {out:?}"))
}

#[test]
fn a_policy_that_wants_a_fresh_second_factor_has_towline_ask_for_a_code() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let ann = lab.user("ann", Some(STRICT))?;
    let made = ann.api("Towline.CreateSecondFactor", &json!({ "PrincipalName": "ann" }))?;
    let secret = made["Secret"].as_str().unwrap_or_default().to_owned();
    with_line(&ann, &["mfa", "enable"], &format!("{}\n", code_of(&lab, &secret, -1)?))?;

    let out = ann.run(&["exec", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.code() == Some(DENIED), || said.clone())?;
    ensure(said.contains("a second factor that was proved just now"), || said.clone())?;
    ensure(said.contains("towline mfa session"), || said)?;

    let mut shell = ann.shell(device.id())?;
    shell.expect("code of your authenticator: ")?;
    shell.line(&code_of(&lab, &secret, 0)?)?;
    shell.line("echo proved-$((40+2))")?;
    shell.expect("proved-42")?;
    shell.line("exit")?;
    ensure(shell.finish(PATIENCE)?.success(), || "the shell did not end well".into())?;

    let mut list = ann.terminal(&["sessions"])?;
    list.expect("code of your authenticator: ")?;
    list.line(&code_of(&lab, &secret, 1)?)?;
    ensure(list.finish(PATIENCE)?.success(), || "the list was refused".into())?;

    let mut wrong = ann.terminal(&["sessions"])?;
    wrong.expect("code of your authenticator: ")?;
    wrong.line("000000")?;
    wrong.expect("MultiFactorAuthentication failed")?;
    ensure(!wrong.finish(PATIENCE)?.success(), || "a wrong code was taken".into())?;

    // A second factor that would not help is not named.
    let bob = lab.user("bob", None)?;
    let out = bob.run(&["exec", device.id(), "--", "true"])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(!said.contains("second factor"), || said)
}
