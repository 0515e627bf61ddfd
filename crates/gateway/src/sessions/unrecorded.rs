//! The recorder of tests whose sessions are not recorded.

use std::path::Path;
use std::sync::Arc;

use towline_archive::settings::{Demand, RawEvidence};
use towline_archive::{Archive, Recorder};
use towline_host::clock::Clock;

/// A recorder that records nothing.
pub(crate) fn no_recorder(dir: &Path, clock: &Clock) -> Arc<Recorder> {
    let evidence = RawEvidence { recording: Demand::Off, ..RawEvidence::default() };
    let (archive, _) = Archive::start(dir, evidence.settings(dir).unwrap(), clock).unwrap();
    archive.recorder
}
