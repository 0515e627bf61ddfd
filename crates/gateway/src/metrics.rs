//! Counters and gauges in the Prometheus text format, without a library: the whole format we need
//! is below.
//!
//! # Invariants
//! - A fixed set of series: nothing a client sends becomes a label.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use towline_ssm::operation::Operation;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

/// Counts one until it is dropped.
pub struct Inside(Arc<AtomicI64>);

impl Gauge {
    /// One more until the returned value is dropped.
    pub fn enter(&self) -> Inside {
        self.0.fetch_add(1, Ordering::Relaxed);
        Inside(Arc::clone(&self.0))
    }
    /// The number.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers of one operation.
#[derive(Debug, Default)]
struct Answers {
    done: Counter,
    refused: Counter,
    failed: Counter,
}

/// How a request ended, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done as asked.
    Done,
    /// An error of the client's making.
    Refused,
    /// An error of ours.
    Failed,
}

/// All series of the control plane.
#[derive(Debug)]
pub struct Metrics {
    /// TCP connections accepted.
    pub connections: Counter,
    /// TCP connections closed because a bound was reached, the newest or an older stranger.
    pub connections_refused: Counter,
    /// TLS handshakes that came to nothing.
    pub handshakes_failed: Counter,
    /// Connections of balancers closed because of their header.
    pub proxy_headers_refused: Counter,
    /// Agents' links open.
    pub agents: Gauge,
    /// Requests whose signature was not accepted.
    pub authentication_failed: Counter,
    /// Requests and enrollments turned away because their source failed too often.
    pub throttled: Counter,
    /// Enrollments refused.
    pub enrollments_refused: Counter,
    /// Notifications that a receiver took.
    pub notifications_sent: Counter,
    /// Attempts to send a notification that failed.
    pub notifications_failed: Counter,
    /// Notifications that were given up.
    pub notifications_given_up: Counter,
    /// People who signed in through an identity provider, and renewals of such sign-ins.
    pub provider_sign_ins: Counter,
    /// Sign-ins and renewals through an identity provider that were refused.
    pub provider_sign_ins_refused: Counter,
    /// Discovery documents and key sets of identity providers that were fetched.
    pub provider_fetches: Counter,
    /// Fetches that failed.
    pub provider_fetches_failed: Counter,
    /// Sessions that ended with the access that was granted for them.
    pub sessions_ended_with_access: Counter,
    answers: Vec<Answers>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connections: Counter::default(),
            connections_refused: Counter::default(),
            handshakes_failed: Counter::default(),
            proxy_headers_refused: Counter::default(),
            agents: Gauge::default(),
            authentication_failed: Counter::default(),
            throttled: Counter::default(),
            enrollments_refused: Counter::default(),
            notifications_sent: Counter::default(),
            notifications_failed: Counter::default(),
            notifications_given_up: Counter::default(),
            provider_sign_ins: Counter::default(),
            provider_sign_ins_refused: Counter::default(),
            provider_fetches: Counter::default(),
            provider_fetches_failed: Counter::default(),
            sessions_ended_with_access: Counter::default(),
            answers: Operation::ALL.iter().map(|_| Answers::default()).collect(),
        }
    }
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, operation: Operation, answer: Answer) {
        let place = Operation::ALL.iter().position(|op| *op == operation);
        let Some(answers) = place.and_then(|place| self.answers.get(place)) else { return };
        match answer {
            Answer::Done => answers.done.add(1),
            Answer::Refused => answers.refused.add(1),
            Answer::Failed => answers.failed.add(1),
        }
    }

    /// Counters without labels: name, what they count, value.
    #[allow(clippy::too_many_lines)] // one entry for each series
    pub fn counters(&self) -> [(&'static str, &'static str, u64); 15] {
        [
            ("towline_connections_total", "TCP connections accepted.", self.connections.get()),
            (
                "towline_connections_refused_total",
                "TCP connections closed because the bound was reached.",
                self.connections_refused.get(),
            ),
            (
                "towline_handshakes_failed_total",
                "TLS handshakes that came to nothing.",
                self.handshakes_failed.get(),
            ),
            (
                "towline_proxy_headers_refused_total",
                "Connections of balancers closed because their PROXY header was missing or wrong.",
                self.proxy_headers_refused.get(),
            ),
            (
                "towline_authentication_failed_total",
                "Requests whose signature was not accepted.",
                self.authentication_failed.get(),
            ),
            (
                "towline_throttled_total",
                "Requests and enrollments turned away by the rate limit.",
                self.throttled.get(),
            ),
            (
                "towline_enrolments_refused_total",
                "Enrollments refused.",
                self.enrollments_refused.get(),
            ),
            (
                "towline_notifications_sent_total",
                "Notifications that a webhook took.",
                self.notifications_sent.get(),
            ),
            (
                "towline_notifications_failed_total",
                "Attempts to send a notification that failed.",
                self.notifications_failed.get(),
            ),
            (
                "towline_notifications_given_up_total",
                "Notifications that were given up.",
                self.notifications_given_up.get(),
            ),
            (
                "towline_provider_sign_ins_total",
                "People who signed in through an identity provider, and renewals.",
                self.provider_sign_ins.get(),
            ),
            (
                "towline_provider_sign_ins_refused_total",
                "Sign-ins and renewals through an identity provider that were refused.",
                self.provider_sign_ins_refused.get(),
            ),
            (
                "towline_provider_fetches_total",
                "Keys and endpoints of identity providers that were fetched.",
                self.provider_fetches.get(),
            ),
            (
                "towline_provider_fetches_failed_total",
                "Fetches from identity providers that failed.",
                self.provider_fetches_failed.get(),
            ),
            (
                "towline_sessions_ended_with_access_total",
                "Sessions that ended with the access that was granted for them.",
                self.sessions_ended_with_access.get(),
            ),
        ]
    }

    /// The text that Prometheus reads. `devices` is the number of devices by status, from the
    /// store.
    #[must_use]
    pub fn render(&self, devices: &[(String, i64)]) -> String {
        let mut out = String::with_capacity(8 * 1024);
        for (name, help, value) in self.counters() {
            head(&mut out, name, help, "counter");
            let _ = writeln!(out, "{name} {value}");
        }
        head(&mut out, "towline_agents", "Agents' links open.", "gauge");
        let _ = writeln!(out, "towline_agents {}", self.agents.get());
        head(&mut out, "towline_devices", "Devices registered, by status.", "gauge");
        for (status, number) in devices {
            let _ = writeln!(out, "towline_devices{{status=\"{status}\"}} {number}");
        }
        head(
            &mut out,
            "towline_requests_total",
            "API requests answered, by operation and outcome.",
            "counter",
        );
        for (operation, answers) in Operation::ALL.iter().zip(&self.answers) {
            let outcomes = [
                ("done", &answers.done),
                ("refused", &answers.refused),
                ("failed", &answers.failed),
            ];
            for (outcome, count) in outcomes.into_iter().filter(|(_, count)| count.get() > 0) {
                let (name, count) = (operation.name(), count.get());
                let _ = writeln!(
                    out,
                    "towline_requests_total{{operation=\"{name}\",outcome=\"{outcome}\"}} {count}"
                );
            }
        }
        out
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_a_type_for_each_series_and_only_operations_that_were_asked() {
        let metrics = Metrics::default();
        metrics.connections.add(3);
        metrics.answered(Operation::StartSession, Answer::Refused);
        let here = metrics.agents.enter();
        let text = metrics.render(&[("active".into(), 7)]);
        for line in [
            "# TYPE towline_connections_total counter",
            "towline_connections_total 3",
            "towline_agents 1",
            "towline_devices{status=\"active\"} 7",
            "towline_requests_total{operation=\"StartSession\",outcome=\"refused\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("operation=\"ResumeSession\""));
        drop(here);
        assert!(metrics.render(&[]).contains("towline_agents 0"));
    }
}
