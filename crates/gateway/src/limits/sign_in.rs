//! Limits of sign-ins through identity providers.

use std::time::Duration;

use super::MAX_HEAD;

/// Keys of a provider are used so long before they are fetched again, in the background.
pub const KEYS_FRESH: Duration = Duration::from_secs(600);

/// At most one fetch from a provider in so long for key ids that are not known.
pub const KEYS_REFETCH: Duration = Duration::from_secs(60);

/// A provider of which nothing is known is asked again after so long.
pub const KEYS_RETRY: Duration = Duration::from_secs(5);

/// Pauses before further tries of a request that a provider did not answer.
pub const PROVIDER_PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// No further try begins so long after the first one: a browser and a program wait for it.
pub const PROVIDER_PATIENCE: Duration = Duration::from_secs(8);

/// How long a person may take at an identity provider.
pub const SIGN_IN_ATTEMPT: Duration = Duration::from_secs(600);

/// Longest cookie of such an attempt, characters.
pub const MAX_SIGN_IN_ATTEMPT: usize = 4096;

/// Attempts that are under way in one browser: their cookies come with each request, and
/// [`MAX_HEAD`] has room for three of [`MAX_SIGN_IN_ATTEMPT`].
pub const MAX_ATTEMPTS_OF_BROWSER: usize = 3;
const _: () = assert!(MAX_ATTEMPTS_OF_BROWSER * MAX_SIGN_IN_ATTEMPT < MAX_HEAD);

/// Longest words of a refusal in an address, characters: percent-encoded they have at most twelve
/// times as many bytes, and `towline` reads a line of 8 KiB.
pub const MAX_REFUSAL: usize = 500;

/// Longest code of a provider and longest state of a program, characters.
pub const MAX_SIGN_IN_PARAMETER: usize = 2048;

/// Longest place in the console that a sign-in leads back to, characters.
pub const MAX_CONSOLE_PLACE: usize = 512;

/// How long the credentials of a sign-in wait for their program.
pub const PROGRAM_CODE: Duration = Duration::from_secs(60);

/// Longest time in which a provider renews a sign-in of a program without its person.
pub const RENEWAL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Pace of a program that waits for a decision about its sign-in.
pub const SIGN_IN_POLL: Duration = Duration::from_secs(2);

/// Longest name that such a program gives itself, characters.
pub const MAX_CLIENT_NAME: usize = 64;
