//! Where lines go: everything to stderr. Prose for people; audit lines (target `audit`) as bare
//! JSON, one a line.
//!
//! # Invariants
//! - A machine that reads audit lines takes the lines that begin with `{`: prose never does.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging to stderr, at `level` and above.
///
/// # Errors
/// When the process logs already.
pub fn start(level: LevelFilter) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .event_format(Lines { prose: Format::default().with_target(false).with_ansi(false) })
        .finish();
    tracing::subscriber::set_global_default(subscriber)
}

struct Lines {
    prose: Format<Full, SystemTime>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != "audit" {
            return self.prose.format_event(context, writer, event);
        }
        let mut bare = Bare { writer: writer.by_ref(), result: Ok(()) };
        event.record(&mut bare);
        bare.result?;
        writeln!(writer)
    }
}

/// Writes the message of an event and nothing else.
struct Bare<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Visit for Bare<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" && self.result.is_ok() {
            self.result = write!(self.writer, "{value:?}");
        }
    }
}
