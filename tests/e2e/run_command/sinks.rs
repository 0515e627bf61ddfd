//! Where output goes beside the gateway: a bucket of the caller's choice of prefix, and CloudWatch
//! Logs; both of a real server.

use towline_testkit::Outcome;
use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::moto::{ACCESS_KEY, Moto, SECRET};
use towline_testkit::trouble::ensure;

#[test]
fn boto3_finds_the_output_in_its_bucket_and_in_its_log_group() -> Outcome {
    let moto = Moto::start()?;
    moto.python("s3.create_bucket(Bucket='outputs')")?;
    let access = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let setup = GatewaySetup {
        config: format!(
            "[evidence]\nfree_space_floor_mib = 0\n\
             [evidence.s3]\nbucket = 'outputs'\nregion = 'us-east-1'\nendpoint = '{0}'\n\
             [evidence.cloudwatch]\nendpoint = '{0}'\n",
            moto.endpoint()
        ),
        environment: access.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..GatewaySetup::default()
    };
    let lab = Lab::with(&setup)?;
    let device = lab.device()?;
    let mut command = lab.admin().python();
    command
        .arg(workspace().join("tests/e2e/python/run_command_sinks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("TOWLINE_DEVICE", device.id()).env("MOTO_ENDPOINT", moto.endpoint());
    let out = command.output()?;
    ensure(out.status.success(), || {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })
}
