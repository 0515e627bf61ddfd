//! Names and sizes of the built-in session documents.

/// The shell document: what runs when no document is named.
pub const RUN_SHELL: &str = "SSM-SessionManagerRunShell";
/// A command on a terminal.
pub const INTERACTIVE_COMMAND: &str = "AWS-StartInteractiveCommand";
/// A command without a terminal.
pub const NON_INTERACTIVE_COMMAND: &str = "AWS-StartNonInteractiveCommand";
/// A TCP port of the device.
pub const PORT_FORWARDING: &str = "AWS-StartPortForwardingSession";
/// A TCP port that the device can reach.
pub const REMOTE_HOST_FORWARDING: &str = "AWS-StartPortForwardingSessionToRemoteHost";
/// A byte stream to the device's SSH server.
pub const SSH_SESSION: &str = "AWS-StartSSHSession";
/// Our own: a program with its arguments as they are, standard streams apart, exit status passed
/// on.
pub const TOWLINE_EXEC: &str = "Towline-Exec";

/// Our own: files of one place of the device, read or written as a user.
pub const TOWLINE_COPY: &str = "Towline-Copy";

/// Longest command text, and longest sum of all arguments, in bytes. One wire frame has 16 KiB;
/// grant, names and environment need their share of it.
pub const MAX_COMMAND_BYTES: usize = 12 * 1024;
/// Longest path of [`TOWLINE_COPY`], bytes: Linux takes no longer one.
pub const MAX_PATH_BYTES: usize = 4095;
/// Most arguments of [`TOWLINE_EXEC`], program included.
pub const MAX_ARGUMENTS: usize = 256;
