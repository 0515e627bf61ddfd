//! `cp`: files and folders between this machine and a device, without any server there.
//!
//! Data flow: which side is the device's (`side`) -> a session of [`TOWLINE_COPY`] for that one place
//! -> file by file, each with its digest ([`put`], [`get`]).
//!
//! # Invariants
//! - A file has its own name only when its digest is right; what was begun is gone on with by the
//!   next copy.
//! - What a device calls its files decides nothing here: names are single components below the
//!   place that was asked for.
//! - Skipped entries (links, devices, names that are not UTF-8) are reported, and the exit code is
//!   one of failure.

use towline_ssm::api::session::{Parameters, StartSessionRequest};
use towline_ssm::documents::TOWLINE_COPY;

use super::progress::Progress;
use super::side::Side;
use super::{get, put};
use crate::args::tunnel::CopyArgs;
use crate::commands::context::Context;
use crate::commands::target;
use crate::exit::{self, Failure};
use crate::output::complain;
use crate::session::{Begin, Copied, Copier, copy};

/// `cp`.
pub(crate) async fn run(mut context: Context, args: CopyArgs) -> Result<u8, Failure> {
    let (from, to) = (Side::parse(&args.source), Side::parse(&args.destination));
    let (device, path, put) = match (&from, &to) {
        (Side::Here(_), Side::Device { device, path }) => (device, path, true),
        (Side::Device { device, path }, Side::Here(_)) => (device, path, false),
        _ => {
            let what = "expected one DEVICE:PATH and one local path (write ./a:b for a local path with a colon)";
            return Err(Failure::Usage(what.to_owned()));
        }
    };
    if let (Side::Here(source), true) = (&from, put) {
        put::check(source, args.recursive)?;
    }
    let target = target::resolve(&mut context.client, device).await?;
    let one = |value: &str| vec![value.to_owned()];
    let mut parameters = Parameters::from([("path".to_owned(), one(path))]);
    parameters.insert("direction".to_owned(), one(if put { "put" } else { "get" }));
    if let Some(user) = args.user.or_else(|| context.client.settings().user.clone()) {
        parameters.insert("runAsUser".to_owned(), vec![user]);
    }
    let document_name = Some(TOWLINE_COPY.to_owned());
    let request = StartSessionRequest {
        target,
        document_name,
        reason: args.reason,
        parameters,
        towline_terminal: None,
    };
    let mut progress = Progress::new(args.quiet);
    let mut say = |line: &str| complain(line);
    let work = async |copier: &mut Copier<'_>| match (&from, &to) {
        (Side::Here(source), _) => Box::pin(put::all(copier, source, path, &mut progress)).await,
        (_, Side::Here(destination)) => {
            Box::pin(get::all(copier, path, destination, args.recursive, &mut progress)).await
        }
        _ => Ok(0),
    };
    let copied = Box::pin(copy(context.client, Begin::Start(request), &mut say, work)).await;
    progress.finish();
    Ok(match copied? {
        Copied::Done(0) => 0,
        Copied::Done(_) => exit::LOCAL,
        Copied::Signal(number) => 128 + number,
    })
}
