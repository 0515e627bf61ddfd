//! `cp`: files and folders between this machine and a device, without any server there.
//!
//! Data flow: which side is the device's (`side`) -> a session of [`TOWLINE_COPY`] for that one
//! place -> file by file, each with its digest ([`put`], [`get`]).
//!
//! # Invariants
//! - A file has its own name only when its digest is right; the next copy continues what was begun.
//! - A directory is copied behind what cannot be copied.
//! - What a device calls its files decides nothing here: names are single components below the
//!   place that was asked for.
//! - Skipped entries (links, devices, names that are not UTF-8) are reported, and the exit code is
//!   one of failure.

use std::path::{PathBuf, is_separator};

use towline_ssm::api::session::{Parameters, StartSessionRequest};
use towline_ssm::documents::TOWLINE_COPY;

use super::job::Job;
use super::progress::Progress;
use super::side::Side;
use super::{get, put};
use crate::args::tunnel::CopyArgs;
use crate::commands::context::Context;
use crate::commands::step_up;
use crate::config::Settings;
use crate::exit::{self, Failure};
use crate::output::complain;
use crate::platform;
use crate::session::{Begin, Copied, Copier, copy};

/// `cp`.
pub(crate) async fn run(mut context: Context, args: CopyArgs) -> Result<u8, Failure> {
    let (from, to) = (Side::parse(&args.source), Side::parse(&args.destination));
    let (device, path, put) = match (&from, &to) {
        (Side::Here(_), Side::Device { device, path }) => (device, path, true),
        (Side::Device { device, path }, Side::Here(_)) => (device, path, false),
        _ => {
            let what = "expected one DEVICE:PATH and one local path (write ./a:b for a local path \
                        with a colon)";
            return Err(Failure::Usage(what.to_owned()));
        }
    };
    if let (Side::Here(source), true) = (&from, put) {
        put::check(source, args.recursive)?;
    }
    let target = context.device(device).await?;
    let mut job = Job {
        device: target.to_string(),
        recursive: args.recursive,
        follow: args.follow,
        root: PathBuf::new(),
        into_directory: args.destination.ends_with(is_separator),
        umask: platform::umask(),
        progress: Progress::new(args.quiet),
        left_out: 0,
        partial: None,
    };
    let one = |value: &str| vec![value.to_owned()];
    let mut parameters = Parameters::from([("path".to_owned(), one(path))]);
    parameters.insert("direction".to_owned(), one(if put { "put" } else { "get" }));
    // Only when it is wanted: an older gateway does not know it.
    if args.follow {
        parameters.insert("follow".to_owned(), one("true"));
    }
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
    let Context { client, env, .. } = context;
    let begin = Begin::Start(request);
    let run = async |client| {
        let mut say = |line: &str| complain(line);
        let work = async |copier: &mut Copier<'_>| match (&from, &to) {
            (Side::Here(source), _) => Box::pin(put::all(copier, source, path, &mut job)).await,
            (_, Side::Here(destination)) => {
                Box::pin(get::all(copier, path, destination, &mut job)).await
            }
            _ => Ok(()),
        };
        Box::pin(copy(client, begin.clone(), &mut say, work)).await
    };
    let copied = Box::pin(step_up::proved(client, &env, &begin, run)).await;
    job.progress.finish();
    end(copied, &mut job)
}

/// Tells how the copy ended, and what it leaves.
fn end(copied: Result<(Copied<()>, Settings), Failure>, job: &mut Job) -> Result<u8, Failure> {
    match copied {
        Ok((Copied::Done(()), _)) if job.left_out == 0 => Ok(0),
        Ok((Copied::Done(()), _)) => {
            complain(&format!("{} of the source not copied", entries(job.left_out)));
            Ok(exit::LOCAL)
        }
        Ok((Copied::Signal(number), _)) => {
            job.tell_partial();
            Ok(128 + number)
        }
        Err(error) => {
            job.tell_partial();
            Err(error)
        }
    }
}

fn entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}
