//! Command documents: schemas 2.2, 2.0 and 1.2 with `aws:runShellScript` and
//! `aws:runPowerShellScript` steps, and what they mean with their parameters.
//!
//! Data flow: a document's text -> [`CommandDocument::parse`] (all that could be wrong with it) ->
//! [`CommandDocument::bind`] with the parameters of SendCommand -> a [`Plan`] of steps, each a
//! script -> the gateway.
//!
//! # Invariants
//! - A plan holds only values that their parameter allows, and scripts of at most [`MAX_SCRIPT`]
//!   bytes.
//! - A parameter that the document does not have is refused, never ignored. So is what this gateway
//!   could not do as written: another action, another schema, a value from AWS's parameter store.
//! - Patterns are matched against the whole value, whatever anchors they have, and in linear time.
//!
//! # Not here
//! - Where documents are kept, and who may use them: the gateway. Their text (JSON or YAML):
//!   `crate::documents::content`.

mod binding;
mod document;
mod limits;
mod parameter;
mod plan;
mod platform;
mod refusal;
mod runtime_config;
mod step;
#[cfg(test)]
mod tests;

pub use document::{
    CommandDocument, RUN_POWERSHELL_SCRIPT, RUN_POWERSHELL_SCRIPT_TEXT, RUN_SHELL_SCRIPT,
    RUN_SHELL_SCRIPT_TEXT, SCHEMAS,
};
pub use limits::{DEFAULT_TIMEOUT, MAX_PARAMETERS, MAX_SCRIPT, MAX_STEPS, MAX_TIMEOUT};
pub use parameter::Parameter;
pub use plan::{Plan, PlannedStep};
pub use platform::{Condition, Host, Interpreter, Platform};
pub use step::{After, Step};
