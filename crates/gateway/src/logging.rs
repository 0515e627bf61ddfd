//! Where lines go: everything to stderr. Prose for people; audit lines (target `audit`) as bare
//! JSON, one a line.
//!
//! # Invariants
//! - A machine that reads audit lines takes the lines that begin with `{`: prose never does.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::log_queue;

/// The environment variable that chooses what is logged.
const VARIABLE: &str = "RUST_LOG";
/// What is logged whatever the variable says: the audit trail.
const ALWAYS: &str = "audit=info";

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The variable's value cannot be read.
    #[error(
        "{VARIABLE}={value:?} is not a log filter: {source}; write for example \
             {VARIABLE}=info,towline_gateway::sessions=trace"
    )]
    Filter {
        /// The value.
        value: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process logs already.
    #[error(transparent)]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Starts logging to stderr: what the environment variable `RUST_LOG` says, or `level` and above.
/// Audit lines are always logged.
///
/// # Errors
/// [`LoggingError`].
pub fn start(level: LevelFilter) -> Result<(), LoggingError> {
    let value = std::env::var(VARIABLE).unwrap_or_default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(&value, level)?)
        .with_ansi(false) // fields of spans are formatted by this setting
        .with_writer(log_queue::start())
        .event_format(Lines { prose: Format::default().with_target(false).with_ansi(false) })
        .finish();
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

fn filter(value: &str, level: LevelFilter) -> Result<EnvFilter, LoggingError> {
    let text = if value.is_empty() { level.to_string() } else { value.to_owned() };
    EnvFilter::builder()
        .parse(format!("{text},{ALWAYS}"))
        .map_err(|source| LoggingError::Filter { value: value.to_owned(), source })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl tracing_subscriber::fmt::MakeWriter<'_> for Shared {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// The lines that a filter lets through.
    fn logged(value: &str) -> String {
        let writer = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter(value, LevelFilter::INFO).unwrap())
            .with_ansi(false)
            .with_writer(Shared(std::sync::Arc::clone(&writer)))
            .event_format(Lines { prose: Format::default().with_target(false).with_ansi(false) })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::info_span!("request", id = "r-1", op = "StartSession");
            let _inside = request.enter();
            tracing::info!(target: "towline_gateway::api", "one");
            tracing::trace!(target: "towline_gateway::sessions::hub", "two");
            tracing::info!(target: "audit", "{{\"three\":3}}");
        });
        let bytes = writer.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn without_the_variable_the_level_decides_and_lines_name_their_request() {
        let lines = logged("");
        assert!(lines.contains("request{id=\"r-1\" op=\"StartSession\"}: one"), "{lines}");
        assert!(!lines.contains("two"), "{lines}");
        assert!(lines.lines().any(|line| line == "{\"three\":3}"), "{lines}");
    }

    #[test]
    fn the_variable_chooses_a_folder_and_the_audit_trail_stays() {
        let lines = logged("towline_gateway::sessions=trace");
        assert!(lines.contains("two") && !lines.contains("one"), "{lines}");
        assert!(lines.contains("{\"three\":3}"), "{lines}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named_with_an_example() {
        let error = filter("towline=loud", LevelFilter::INFO).unwrap_err().to_string();
        assert!(error.contains("towline=loud") && error.contains("sessions=trace"), "{error}");
    }
}
