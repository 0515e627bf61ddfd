//! DescribeSessions names the bucket and key of a session's output, and the output is there.

use std::time::Duration;

use serde_json::json;
use towline_testkit::lab::{Device, GatewaySetup, Lab};
use towline_testkit::moto::{ACCESS_KEY, Moto, SECRET};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually, process};

const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway whose sink is the bucket `records`, on a real S3 server; there is a bucket `team-logs`
/// beside it.
fn gateway(moto: &Moto) -> Outcome<Lab> {
    moto.python("s3.create_bucket(Bucket='records')\ns3.create_bucket(Bucket='team-logs')")?;
    let access = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    Lab::with(&GatewaySetup {
        config: format!(
            "[evidence]\nfree_space_floor_mib = 0\n\
             [evidence.s3]\nbucket = 'records'\nregion = 'us-east-1'\nendpoint = '{}'\n",
            moto.endpoint()
        ),
        environment: access.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..GatewaySetup::default()
    })
}

/// Asks boto3 for the only session that is over.
const ASK_BOTO3: &str = "import boto3, os
ssm = boto3.client('ssm', endpoint_url=os.environ['AWS_ENDPOINT_URL'])
for session in ssm.describe_sessions(State='History')['Sessions']: \
print(session['OutputUrl']['S3OutputUrl'])";

/// The URLs of all sessions that are over, the newest first, as boto3 reads them.
fn urls(lab: &Lab, expected: usize) -> Outcome<Vec<String>> {
    eventually("sessions that are over", PATIENCE, || {
        let mut boto3 = lab.admin().python();
        boto3.args(["-c", ASK_BOTO3]);
        let out = process::finish(boto3, PATIENCE).ok().filter(|out| out.status.success())?;
        let urls: Vec<String> =
            String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect();
        (urls.len() == expected).then_some(urls)
    })
}

/// What lies at a URL of this server, once something does; as boto3 gets it, unpacked where it is
/// packed.
fn fetch(moto: &Moto, url: &str) -> Outcome<String> {
    let place = url
        .strip_prefix(moto.endpoint())
        .and_then(|rest| rest.trim_start_matches('/').split_once('/'));
    let (bucket, key) = place
        .ok_or_else(|| Trouble::new(format!("{url} is not a bucket's of {}", moto.endpoint())))?;
    let lines = format!(
        "import gzip\nbody = s3.get_object(Bucket='{bucket}', Key='{key}')['Body'].read()\n\
         print(gzip.decompress(body).decode() if body[:2] == b'\\x1f\\x8b' else body.decode())"
    );
    eventually("the object", PATIENCE, || moto.python(&lines).ok())
}

fn say(lab: &Lab, device: &Device, what: &str) -> Outcome {
    lab.admin().text(&["exec", device.id(), "--", "echo", what]).map(drop)
}

#[test]
fn boto3_is_told_the_object_in_the_bucket_of_the_gateway_and_that_of_the_preferences() -> Outcome {
    let moto = Moto::start()?;
    let lab = gateway(&moto)?;
    let device = lab.device()?;
    say(&lab, &device, "for-the-sink")?;
    let sink = urls(&lab, 1)?.remove(0);
    ensure(sink.contains("/records/") && sink.ends_with(".cast.gz"), || sink.clone())?;
    let cast = fetch(&moto, &sink)?;
    ensure(cast.starts_with("{\"version\":2") && cast.contains("for-the-sink"), || cast.clone())?;

    let content = json!({
        "schemaVersion": "1.0", "description": "preferences", "sessionType": "Standard_Stream",
        "inputs": { "s3BucketName": "team-logs", "s3KeyPrefix": "sessions" },
    });
    let body = json!({
        "Name": "SSM-SessionManagerRunShell", "DocumentType": "Session", "DocumentFormat": "JSON",
        "Content": content.to_string(),
    });
    lab.admin().api("AmazonSSM.CreateDocument", &body)?;
    say(&lab, &device, "for-the-team")?;
    let copy = urls(&lab, 2)?.remove(0);
    ensure(copy.contains("/team-logs/sessions/") && copy.ends_with(".log"), || copy.clone())?;
    let text = fetch(&moto, &copy)?;
    ensure(text.contains("for-the-team"), || text.clone())
}
