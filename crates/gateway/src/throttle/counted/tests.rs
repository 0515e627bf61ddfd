//! Tests of failures counted per source.

use super::*;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_000_000);

fn fail(throttle: &Throttle<IpAddr>, source: &str, times: u32) {
    for _ in 0..times {
        throttle.failed(source.parse().unwrap(), NOW);
    }
}

#[test]
fn a_source_is_turned_away_after_its_last_failure_until_its_window_ends() {
    let throttle = Throttle::default();
    let source = "192.0.2.1".parse().unwrap();
    fail(&throttle, "192.0.2.1", limits::MAX_FAILURES - 1);
    assert!(!throttle.blocks(source, NOW));
    assert!(throttle.failed(source, NOW), "this one blocks the source");
    assert!(throttle.blocks(source, NOW));
    assert!(!throttle.blocks("192.0.2.2".parse().unwrap(), NOW));
    assert!(!throttle.blocks(source, NOW.plus(limits::FAILURE_WINDOW)));
    let set_back = NOW.minus(limits::FAILURE_WINDOW);
    assert!(!throttle.blocks(source, set_back), "a clock that was set back keeps nobody away");
}

#[test]
fn one_failure_turns_nobody_away_however_many_gateways_there_are() {
    let source = "192.0.2.1".parse().unwrap();
    for gateways in [1, 5, 6, 20, 64] {
        let throttle = Throttle::default();
        throttle.among(gateways);
        throttle.hear(Vec::new(), NOW);
        fail(&throttle, "192.0.2.1", limits::FEWEST_TRIES - 1);
        assert!(!throttle.blocks(source, NOW), "{gateways} gateways");
        fail(&throttle, "192.0.2.1", limits::MAX_FAILURES.div_ceil(gateways));
        assert!(throttle.blocks(source, NOW), "{gateways} gateways");
    }
}

#[test]
fn sources_of_a_clock_that_was_set_back_make_room_for_those_of_now() {
    let throttle = Throttle::default();
    let ahead = NOW.plus(limits::FAILURE_WINDOW * 1000);
    for n in 0..u32::try_from(limits::MAX_SOURCES).unwrap() {
        for _ in 0..2 {
            throttle.failed(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), ahead);
        }
    }
    for n in 0..10_u8 {
        throttle.failed(IpAddr::from([192, 0, 2, n]), NOW);
    }
    assert_eq!(throttle.lock().len(), 10, "each of them is counted");
}

#[test]
fn addresses_of_one_ipv6_subscriber_count_together() {
    let throttle = Throttle::default();
    fail(&throttle, "2001:db8::1", limits::MAX_FAILURES);
    assert!(throttle.blocks("2001:db8::ffff".parse().unwrap(), NOW));
    assert!(!throttle.blocks("2001:db8:0:1::1".parse().unwrap(), NOW));
}

#[test]
fn the_table_stays_bounded_and_keeps_the_worst() {
    let throttle = Throttle::default();
    fail(&throttle, "192.0.2.1", limits::MAX_FAILURES);
    for n in 0..u32::try_from(limits::MAX_SOURCES).unwrap() + 10 {
        throttle.failed(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), NOW);
    }
    assert_eq!(throttle.lock().len(), limits::MAX_SOURCES);
    assert!(throttle.blocks("192.0.2.1".parse().unwrap(), NOW));
}

/// What each of these gateways tells and hears.
fn exchange(gateways: &[Throttle<IpAddr>], now: UnixMillis) {
    for nth in 0..gateways.len() {
        exchange_of(gateways, nth, now);
    }
}

/// The same of one of them.
fn exchange_of(gateways: &[Throttle<IpAddr>], nth: usize, now: UnixMillis) {
    let one = &gateways[nth];
    let news = one.tell(100, now);
    let mut sums: HashMap<String, Window> = HashMap::new();
    let others = gateways.iter().enumerate().filter(|(other, _)| *other != nth);
    for (source, window) in others.flat_map(|(_, other)| all_of(other, now)) {
        let sum = sums.entry(source).or_insert(Window { failures: 0, ..window });
        sum.failures += window.failures;
        sum.ends = sum.ends.max(window.ends);
    }
    one.hear(sums.into_iter().collect(), now);
    one.told(&news, now);
}

/// Exchanges each second until what was told at `from` is settled; the moment after that.
fn settled(gateways: &[Throttle<IpAddr>], from: UnixMillis) -> UnixMillis {
    let rounds = 2 * (limits::FAILURES_SETTLE.as_secs() + 1);
    let mut now = from;
    for _ in 0..rounds {
        now = now.plus(limits::FAILURES_AGAIN);
        exchange(gateways, now);
    }
    now
}

/// What this one has told until now.
fn all_of(gateway: &Throttle<IpAddr>, now: UnixMillis) -> Vec<(String, Window)> {
    let sources = gateway.lock();
    let open = sources.iter().filter(|(_, counted)| counted.window.is_open(now));
    let told = |counted: &Counted| Window { failures: counted.told, ..counted.window };
    open.map(|(source, counted)| (source.to_string(), told(counted))).collect()
}

fn several(number: u32) -> Vec<Throttle<IpAddr>> {
    let made = |_| {
        let one = Throttle::default();
        one.among(number);
        one
    };
    (0..number).map(made).collect()
}

#[test]
fn failures_at_one_gateway_block_the_source_at_another_one() {
    let both = several(2);
    let source = "192.0.2.1".parse().unwrap();
    fail(&both[0], "192.0.2.1", limits::MAX_FAILURES - 1);
    let now = settled(&both, NOW);
    assert!(!both[1].blocks(source, now) && !both[0].blocks(source, now));
    assert!(both[1].failed(source, now), "this one blocks the source");
    assert!(both[1].blocks(source, now));
    let now = settled(&both, now);
    assert!(both[0].blocks(source, now) && both[1].blocks(source, now));
    assert!(!both[0].blocks("192.0.2.2".parse().unwrap(), now));
    assert!(!both[0].blocks(source, NOW.plus(limits::FAILURE_WINDOW)));
}

#[test]
fn what_the_others_do_not_know_counts_for_all_until_they_do() {
    let two = several(2);
    let source = "192.0.2.1".parse().unwrap();
    fail(&two[0], "192.0.2.1", limits::MAX_FAILURES / 2);
    assert!(two[0].blocks(source, NOW), "the store does not answer");
    for seconds in 0..3 {
        let now = NOW.plus(Duration::from_secs(seconds));
        exchange_of(&two, 0, now);
        assert!(two[0].blocks(source, now), "the other one may not have heard of them");
    }
    let now = settled(&two, NOW);
    assert!(!two[0].blocks(source, now), "the others know");
    let later = now.plus(limits::FAILURES_SETTLE + limits::FAILURES_AGAIN);
    assert!(two[0].blocks(source, later), "it does not hear what the others count");
    exchange(&two, later);
    assert!(!two[0].blocks(source, later));
}

#[test]
fn who_is_turned_away_until_others_know_learns_of_those_seconds_alone() {
    let two = several(2);
    let source = "192.0.2.1".parse().unwrap();
    exchange(&two, NOW);
    fail(&two[0], "192.0.2.1", limits::MAX_FAILURES / 2);
    let seconds = two[0].again_in(source, NOW);
    assert!(two[0].blocks(source, NOW) && seconds <= 8, "{seconds}");
    let mut now = NOW;
    for _ in 0..seconds {
        now = now.plus(limits::FAILURES_AGAIN);
        exchange(&two, now);
    }
    assert!(!two[0].blocks(source, now));
}

#[test]
fn who_is_turned_away_learns_when_to_try_again() {
    let one: Throttle<IpAddr> = Throttle::default();
    let source: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(one.again_in(source, NOW), 1);
    fail(&one, "192.0.2.1", limits::MAX_FAILURES);
    let later = UnixMillis(NOW.0 + 1500);
    assert_eq!((one.again_in(source, NOW), one.again_in(source, later)), (60, 59));
    let at = UnixMillis(later.0 + one.again_in(source, later) * 1000);
    assert!(one.blocks(source, later) && !one.blocks(source, at));
    let ends = NOW.plus(limits::FAILURE_WINDOW / 2);
    one.hear(vec![("192.0.2.2".into(), Window { ends, failures: limits::MAX_FAILURES })], NOW);
    assert_eq!(one.again_in("192.0.2.2".parse().unwrap(), NOW), 30);
}

#[test]
fn another_clock_that_is_ahead_keeps_nobody_away_for_longer() {
    let one: Throttle<IpAddr> = Throttle::default();
    let source: IpAddr = "192.0.2.1".parse().unwrap();
    let ends = NOW.plus(limits::FAILURE_WINDOW * 60);
    let heard = Window { ends, failures: limits::MAX_FAILURES };
    one.hear(vec![(source.to_string(), heard), ("no address".into(), heard)], NOW);
    assert!(one.blocks(source, NOW) && one.heard().len() == 1);
    assert!(!one.blocks(source, NOW.plus(limits::FAILURE_WINDOW)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In any order of tries and exchanges, each gateway at its own pace.
    #[test]
    fn a_source_has_no_more_tries_at_several_gateways_than_at_one(
        number in 1..5_u32, steps in prop::collection::vec(0..10_usize, 0..400),
    ) {
        let gateways = several(number);
        let source = "192.0.2.1".parse().unwrap();
        let (mut tries, mut now, mut last) = (0, NOW, vec![NOW; gateways.len()]);
        let last_second = NOW.plus(limits::FAILURE_WINDOW - limits::FAILURES_AGAIN * 2);
        exchange(&gateways, now);
        for step in steps {
            match (gateways.get(step), step.checked_sub(5)) {
                (Some(gateway), _) if !gateway.blocks(source, now) => {
                    gateway.failed(source, now);
                    tries += 1;
                }
                (Some(_), _) => {}
                (None, Some(nth)) if nth < gateways.len() => {
                    exchange_of(&gateways, nth, now);
                    last[nth] = now;
                }
                // As long as one window lasts.
                (None, _) if now < last_second => {
                    now = now.plus(limits::FAILURES_AGAIN);
                    for (nth, last) in last.iter_mut().enumerate().take(gateways.len()) {
                        // One that is later has its part beside.
                        if last.plus(limits::FAILURES_SETTLE) <= now {
                            exchange_of(&gateways, nth, now);
                            *last = now;
                        }
                    }
                }
                (None, _) => {}
            }
        }
        // The last try at each gateway may be the one that reaches the bound.
        prop_assert!(tries < limits::MAX_FAILURES + number, "{tries}");
    }
}
