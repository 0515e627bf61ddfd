//! PostgreSQL behind a forward: a protocol that people use, with a client that opens several
//! connections at once.

use towline_testkit::lab::Lab;
use towline_testkit::postgres::Postgres;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use super::Forward;

#[test]
fn a_database_behind_a_forward_loads_and_dumps_a_table() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let server = Postgres::start(&["fsync = off"])?;
    let forward = Forward::start(&lab, &device, &format!("0:{}", server.port()))?;
    let psql = |sql: &str| -> Outcome<String> {
        let mut command = server.client("psql");
        let there = format!(
            "host=127.0.0.1 port={} user={} dbname=postgres sslmode=disable",
            forward.port,
            Postgres::USER
        );
        let out =
            command.args(["-X", "-v", "ON_ERROR_STOP=1", "-At", "-c", sql]).arg(there).output()?;
        ensure(out.status.success(), || {
            format!("{sql}: {}", String::from_utf8_lossy(&out.stderr))
        })?;
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    };
    psql("create table t as select n, md5(n::text) as h from generate_series(1, 50000) n")?;
    let rows = psql("copy (select h from t order by n) to stdout")?;
    ensure(rows.lines().count() == 50_000, || format!("{} rows", rows.lines().count()))?;
    std::thread::scope(|scope| {
        let asked: Vec<_> = (1..=6)
            .map(|n| scope.spawn(move || psql(&format!("select h from t where n = {n}"))))
            .collect();
        for (question, line) in asked.into_iter().zip(rows.lines()) {
            let answer = question.join().map_err(|_| Trouble::new("a query failed"))??;
            ensure(answer.trim() == line, || format!("{answer} is not {line}"))?;
        }
        Ok(())
    })
}
