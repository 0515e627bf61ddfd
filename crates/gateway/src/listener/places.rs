//! Who may be inside: places for connections, shared by source.
//!
//! Data flow: accepted connection -> [`Places::enter`] -> a [`Place`]; [`Place::silent`] when it
//! says nothing -> [`Place::greeted`], and a handshake slot ([`Place::slot`]) -> [`Place::visits`]
//! (HTTP, nobody has authenticated) -> [`Standing::prove`] (an enrolled key, a right signature, a
//! right token).
//!
//! # Invariants
//! - A source (address, /64) has at most [`Bounds::of_source`] connections that say nothing or have
//!   proved nothing: one more, and the oldest of them is hung up on. So a flood displaces itself,
//!   and a client at the same address that proves itself soon gets in.
//! - Proved connections leave their source's share and are never displaced. A number of places is
//!   theirs alone. Of these one user, person or device has at most [`Bounds::of_one`]: what it
//!   proves beyond stays a stranger's, so that nobody takes all places by a right signature.
//! - Handshakes of one source queue for their share of slots; none is refused for their number. A
//!   slot is given up sooner while others wait.
//! - When strangers fill all places that they may have, the source with the most of them makes
//!   room.
//!
//! # Not here
//! - Failures of sources: [`crate::throttle`]. What proves a connection: TLS and the API.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::limits;
use crate::plane::Standing;
use crate::throttle::subscriber;

/// How many connections the port holds; see the invariants of the module.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Open at once.
    pub connections: usize,
    /// Of these, for connections that have proved themselves alone.
    pub reserved: usize,
    /// Handshakes under way at once.
    pub handshakes: usize,
    /// Of these, of one source.
    pub handshakes_of_source: usize,
    /// Connections of one source that say nothing or have proved nothing.
    pub of_source: usize,
    /// Connections that one user, person or device has proved.
    pub of_one: usize,
}

impl Bounds {
    /// For so many connections. Strangers get three quarters of them, and no more than
    /// [`limits::MAX_STRANGERS`]: a returning fleet waits as strangers, and a longer queue would be
    /// longer than its patience.
    #[must_use]
    pub fn of(connections: usize) -> Self {
        let strangers = (connections - connections / 4).min(limits::MAX_STRANGERS);
        Self {
            connections,
            reserved: connections - strangers,
            handshakes: limits::MAX_HANDSHAKES.min(strangers.div_ceil(2)),
            handshakes_of_source: limits::MAX_HANDSHAKES_OF_SOURCE.min(strangers.div_ceil(4)),
            of_source: limits::MAX_STRANGERS_OF_SOURCE.min(strangers.div_ceil(4)),
            of_one: connections / 4,
        }
    }
}

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    bounds: Bounds,
    slots: Arc<Semaphore>,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    all: usize,
    strangers: usize,
    sources: HashMap<IpAddr, Source>,
    /// Connections that were proved, by who has proved them.
    proved: HashMap<Box<str>, usize>,
}

/// The strangers of one source.
#[derive(Debug)]
struct Source {
    /// Those that may be hung up on, oldest first.
    idle: BTreeMap<u64, oneshot::Sender<()>>,
    /// Those whose handshake is under way or waits.
    busy: BTreeMap<u64, oneshot::Sender<()>>,
    slots: Arc<Semaphore>,
}

/// A connection's place; it ends with the last of its handles.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    state: Mutex<State>,
    proven: Notify,
}

#[derive(Debug)]
struct State {
    /// Where the connection comes from; `None` while its proxy has not told.
    source: Option<IpAddr>,
    id: u64,
    proven: bool,
    /// Who has proved it, where that has a share.
    who: Option<Box<str>>,
    slot: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    _of_source: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Resolves when the connection has to make room.
#[derive(Debug)]
pub struct Displaced(Option<oneshot::Receiver<()>>);

impl Displaced {
    /// Whether the connection has to make room.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(told) = &mut self.0 else { return Poll::Pending };
        match Pin::new(told).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // Nobody can tell it any more: the connection has proved itself.
            Poll::Ready(Err(_)) => {
                self.0 = None;
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits until the connection has to make room.
    pub async fn told(&mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(bounds.handshakes));
        Arc::new(Self { bounds, slots, inside: Mutex::default() })
    }

    /// A place for a connection that has just come. `source`: where it comes from, when that is
    /// known.
    pub(super) fn enter(
        self: &Arc<Self>,
        source: Option<IpAddr>,
    ) -> Option<(Arc<Place>, Displaced)> {
        let mut inside = self.lock();
        let source = source.map(subscriber);
        let for_strangers = self.bounds.connections.saturating_sub(self.bounds.reserved);
        let full = inside.strangers >= for_strangers || inside.all >= self.bounds.connections;
        if full && !inside.make_room(source) {
            return None;
        }
        let (tell, told) = oneshot::channel();
        let id = inside.next;
        inside.next += 1;
        inside.all += 1;
        inside.strangers += 1;
        let place = source.unwrap_or(UNTOLD);
        inside.source(place, &self.bounds).busy.insert(id, tell);
        let state = State { source, id, proven: false, who: None, slot: None };
        let place =
            Place { places: Arc::clone(self), state: Mutex::new(state), proven: Notify::new() };
        Some((Arc::new(place), Displaced(Some(told))))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner) // numbers are whole between steps
    }
}

/// Stands for connections whose proxy has not told their source yet.
const UNTOLD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

impl Inside {
    fn source(&mut self, source: IpAddr, bounds: &Bounds) -> &mut Source {
        self.sources.entry(source).or_insert_with(|| Source {
            idle: BTreeMap::new(),
            busy: BTreeMap::new(),
            slots: Arc::new(Semaphore::new(bounds.handshakes_of_source)),
        })
    }

    /// A connection is idle from now on; the oldest of its source may have to leave.
    fn idle(&mut self, source: IpAddr, id: u64, tell: oneshot::Sender<()>, bounds: &Bounds) {
        let entry = self.source(source, bounds);
        entry.idle.insert(id, tell);
        while entry.idle.len() > bounds.of_source {
            let Some((_, oldest)) = entry.idle.pop_first() else { break };
            let _ = oldest.send(()); // its task may be at its end by itself
        }
    }

    /// Tells a connection of the source with the most strangers to leave, for one of `newcomer`.
    /// `false`: the newcomer's source has the most, or nobody can leave.
    fn make_room(&mut self, newcomer: Option<IpAddr>) -> bool {
        let of = |source: &Source| source.idle.len() + source.busy.len();
        let own = newcomer.and_then(|own| self.sources.get(&own)).map_or(0, of);
        let Some((place, most)) = self.sources.iter_mut().max_by_key(|(_, source)| of(source))
        else {
            return false;
        };
        let same = newcomer.is_some_and(|own| own == *place);
        if most.idle.is_empty() && (same || of(most) <= own + 1) {
            return false;
        }
        // The oldest that is idle, else the one whose handshake has waited least.
        let Some((_, tell)) = most.idle.pop_first().or_else(|| most.busy.pop_last()) else {
            return false;
        };
        let _ = tell.send(()); // its task may be at its end by itself
        true
    }

    /// Takes a place of this one's share. `false`: it has none left.
    fn share(&mut self, who: &str, bounds: &Bounds) -> bool {
        let proved = self.proved.entry(who.into()).or_default();
        let is_free = *proved < bounds.of_one;
        *proved += usize::from(is_free);
        is_free
    }

    /// Gives a place of a share back.
    fn unshare(&mut self, who: &str) {
        let Some(proved) = self.proved.get_mut(who) else { return };
        *proved = proved.saturating_sub(1);
        if *proved == 0 {
            self.proved.remove(who);
        }
    }

    /// Takes a stranger out of its source.
    fn take(&mut self, source: IpAddr, id: u64) -> Option<oneshot::Sender<()>> {
        let entry = self.sources.get_mut(&source)?;
        let tell = entry.idle.remove(&id).or_else(|| entry.busy.remove(&id));
        if entry.idle.is_empty() && entry.busy.is_empty() && Arc::strong_count(&entry.slots) == 1 {
            self.sources.remove(&source);
        }
        tell
    }
}

impl Place {
    /// The proxy has told where the connection comes from.
    pub(super) fn comes_from(&self, source: IpAddr) {
        let (mut state, mut inside) = (self.state(), self.places.lock());
        let source = subscriber(source);
        if let Some(tell) = inside.take(state.source.unwrap_or(UNTOLD), state.id) {
            inside.source(source, &self.places.bounds).busy.insert(state.id, tell);
        }
        state.source = Some(source);
    }

    /// The connection says nothing: it may be displaced.
    pub(super) fn silent(&self) {
        let (state, mut inside) = (self.state(), self.places.lock());
        let source = state.source.unwrap_or(UNTOLD);
        if let Some(tell) = inside.take(source, state.id) {
            inside.idle(source, state.id, tell, &self.places.bounds);
        }
    }

    /// The first message has come: the connection is no longer displaced for its silence.
    pub(super) fn greeted(&self) {
        let (state, mut inside) = (self.state(), self.places.lock());
        if let Some(source) = inside.sources.get_mut(&state.source.unwrap_or(UNTOLD))
            && let Some(tell) = source.idle.remove(&state.id)
        {
            source.busy.insert(state.id, tell);
        }
    }

    /// The handshake is over, and nobody has authenticated: it may be displaced.
    pub(super) fn visits(&self) {
        let (mut state, mut inside) = (self.state(), self.places.lock());
        state.slot = None;
        let source = state.source.unwrap_or(UNTOLD);
        if let Some(tell) = inside.take(source, state.id) {
            // It has shown more than those that came and are silent: it goes after them.
            state.id = inside.next;
            inside.next += 1;
            inside.idle(source, state.id, tell, &self.places.bounds);
        }
    }

    /// Waits for a slot to shake hands in: first the source's own share, then one of all.
    pub(super) async fn slot(&self) {
        let of_source = {
            let (state, inside) = (self.state(), self.places.lock());
            inside.sources.get(&state.source.unwrap_or(UNTOLD)).map(|s| Arc::clone(&s.slots))
        };
        let Some(of_source) = of_source else { return };
        let of_source = of_source.acquire_owned().await;
        let of_all = Arc::clone(&self.places.slots).acquire_owned().await;
        if let (Ok(of_source), Ok(of_all)) = (of_source, of_all) {
            let mut state = self.state();
            if !state.proven {
                state.slot = Some(Slot { _of_source: of_source, _of_all: of_all });
            }
        }
    }

    /// Whether others wait for the slot that this connection holds.
    pub(super) fn is_awaited(&self) -> bool {
        let (state, inside) = (self.state(), self.places.lock());
        let of_source = inside.sources.get(&state.source.unwrap_or(UNTOLD));
        state.slot.is_some()
            && (self.places.slots.available_permits() == 0
                || of_source.is_some_and(|source| source.slots.available_permits() == 0))
    }

    /// Waits until the connection has proved itself.
    pub(super) async fn proof(&self) {
        self.proven.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // each step leaves it whole
    }
}

impl Standing for Place {
    fn prove(&self, who: Option<&str>) {
        let mut state = self.state();
        if state.proven {
            return;
        }
        let mut inside = self.places.lock();
        if who.is_some_and(|who| !inside.share(who, &self.places.bounds)) {
            return;
        }
        state.proven = true;
        state.who = who.map(Into::into);
        state.slot = None;
        inside.strangers = inside.strangers.saturating_sub(1);
        inside.take(state.source.unwrap_or(UNTOLD), state.id);
        drop((inside, state));
        self.proven.notify_one();
    }

    fn is_proven(&self) -> bool {
        self.state().proven
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (mut state, mut inside) = (self.state(), self.places.lock());
        state.slot = None;
        inside.all = inside.all.saturating_sub(1);
        if !state.proven {
            inside.strangers = inside.strangers.saturating_sub(1);
            inside.take(state.source.unwrap_or(UNTOLD), state.id);
        }
        if let Some(who) = &state.who {
            inside.unshare(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const BOUNDS: Bounds = Bounds {
        connections: 100,
        reserved: 20,
        handshakes: 10,
        handshakes_of_source: 4,
        of_source: 5,
        of_one: 25,
    };

    fn address(n: u8) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)))
    }

    fn has_to_leave(displaced: &mut Displaced) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        displaced.poll(&mut cx).is_ready()
    }

    #[test]
    fn strangers_have_a_bounded_part_of_any_number_of_places() {
        let bounds = |connections| {
            let Bounds { reserved, handshakes, of_source, .. } = Bounds::of(connections);
            (connections - reserved, handshakes, of_source)
        };
        assert_eq!(bounds(8192), (6144, 512, 256));
        assert_eq!(bounds(100_000), (6144, 512, 256));
        assert_eq!(bounds(64), (48, 24, 12));
    }

    #[test]
    fn a_flood_of_one_source_displaces_its_own_oldest() {
        let places = Places::new(BOUNDS);
        let mut silent: Vec<_> = (0..8).map(|_| places.enter(address(1)).unwrap()).collect();
        for (place, _) in &silent {
            place.silent();
        }
        let left: Vec<_> = silent.iter_mut().map(|(_, d)| has_to_leave(d)).collect();
        assert_eq!(left, [true, true, true, false, false, false, false, false]);
        // One that says something, or proves itself, is not displaced.
        silent[3].0.greeted();
        silent[4].0.prove(None);
        let more: Vec<_> = (0..8).map(|_| places.enter(address(1)).unwrap()).collect();
        for (place, _) in &more {
            place.silent();
        }
        assert!(!has_to_leave(&mut silent[3].1) && !has_to_leave(&mut silent[4].1));
        assert!(has_to_leave(&mut silent[5].1));
    }

    #[test]
    fn strangers_leave_the_reserved_places_free_and_the_source_with_the_most_makes_room() {
        let places = Places::new(Bounds { of_source: 100, ..BOUNDS });
        let mut many: Vec<_> = (0..80).map(|_| places.enter(address(1)).unwrap()).collect();
        for (place, _) in &many {
            place.silent();
        }
        let other = places.enter(address(2));
        assert!(other.is_some() && has_to_leave(&mut many[0].1));
        drop(many);
        drop(other);
        // Proved connections may have all places.
        let proved: Vec<_> = (0..100)
            .map(|_| {
                let entered = places.enter(address(1)).unwrap();
                entered.0.prove(None);
                entered
            })
            .collect();
        assert!(places.enter(address(2)).is_none());
        drop(proved);
        let inside = places.lock();
        assert_eq!((inside.all, inside.strangers, inside.sources.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn handshakes_of_one_source_queue_and_leave_slots_to_others() {
        let places = Places::new(BOUNDS);
        let mut shaking = Vec::new();
        for _ in 0..BOUNDS.handshakes_of_source {
            let (place, displaced) = places.enter(address(1)).unwrap();
            place.slot().await;
            shaking.push((place, displaced));
        }
        let (waiting, _displaced) = places.enter(address(1)).unwrap();
        let mut slot = Box::pin(waiting.slot());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(slot.as_mut().poll(&mut cx).is_pending());
        assert!(shaking[0].0.is_awaited());
        let (other, _displaced) = places.enter(address(2)).unwrap();
        other.slot().await;
        assert!(!other.is_awaited());
        shaking[0].0.prove(None); // an enrolled key
        assert!(slot.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn one_user_proves_a_part_of_all_connections_and_goes_on_as_a_stranger() {
        let places = Places::new(BOUNDS);
        let enter = |n| places.enter(address(n)).unwrap();
        let of_ann: Vec<_> = (0..30).map(|_| enter(1)).collect();
        of_ann.iter().for_each(|(place, _)| place.prove(Some("ann")));
        let proved = of_ann.iter().filter(|(place, _)| place.is_proven()).count();
        assert_eq!(proved, BOUNDS.of_one);
        let (bob, _displaced) = enter(1);
        bob.prove(Some("bob"));
        assert!(bob.is_proven(), "the share is ann's, not that of her address");
        drop(of_ann);
        let (again, _displaced) = enter(1);
        again.prove(Some("ann"));
        assert!(again.is_proven(), "what was closed is free again");
        drop((again, bob));
        assert!(places.lock().proved.is_empty());
    }

    #[test]
    fn a_source_that_its_proxy_has_told_counts() {
        let places = Places::new(Bounds { of_source: 1, ..BOUNDS });
        let mut behind: Vec<_> = (0..4).map(|_| places.enter(None).unwrap()).collect();
        for (n, (place, _)) in behind.iter().enumerate() {
            place.comes_from(address(u8::try_from(n).unwrap() / 2).unwrap());
            place.silent();
        }
        let left: Vec<_> = behind.iter_mut().map(|(_, d)| has_to_leave(d)).collect();
        assert_eq!(left, [true, false, true, false]);
    }
}
