//! The agent's program: arguments, logging, the runtime, the exit code.
fn main() {}
