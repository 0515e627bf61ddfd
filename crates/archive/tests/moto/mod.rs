//! Moto's server for tests that fail by panicking.

use towline_testkit::moto::Moto;

/// The server; ended with the test.
pub(crate) struct Server {
    moto: Moto,
    pub(crate) endpoint: String,
}

impl Server {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let moto = Moto::start().unwrap();
        Self { endpoint: moto.endpoint().to_owned(), moto }
    }

    /// Runs a few lines of Python with clients `s3` and `logs`; what they print.
    pub(crate) fn python(&self, lines: &str) -> String {
        self.moto.python(lines).unwrap()
    }
}
