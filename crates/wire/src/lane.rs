//! The two directions of output that a session can have, and a value for each of them.
//!
//! # Invariants
//! - On the wire [`Lanes`] has the bytes of an array of two: `io`, then `err`.

use core::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// One of a session's two outputs. Input has the lane [`Lane::Io`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The terminal; or standard input and standard output.
    Io,
    /// Standard error, for sessions that keep it apart.
    Err,
}

impl Lane {
    /// Both lanes, in the order of the wire.
    pub const ALL: [Self; 2] = [Self::Io, Self::Err];

    /// The position of the lane in an array of two.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Io => 0,
            Self::Err => 1,
        }
    }
}

/// One value for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lanes<T> {
    /// The value of [`Lane::Io`].
    pub io: T,
    /// The value of [`Lane::Err`].
    pub err: T,
}

impl<T> Lanes<T> {
    /// One value for each lane.
    #[must_use]
    pub const fn new(io: T, err: T) -> Self {
        Self { io, err }
    }

    /// The result of `change` for each lane.
    #[must_use]
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Lanes<U> {
        Lanes { io: change(self.io), err: change(self.err) }
    }
}

impl<T> Index<Lane> for Lanes<T> {
    type Output = T;

    fn index(&self, lane: Lane) -> &T {
        match lane {
            Lane::Io => &self.io,
            Lane::Err => &self.err,
        }
    }
}

impl<T> IndexMut<Lane> for Lanes<T> {
    fn index_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Io => &mut self.io,
            Lane::Err => &mut self.err,
        }
    }
}

impl<T> From<[T; 2]> for Lanes<T> {
    fn from([io, err]: [T; 2]) -> Self {
        Self { io, err }
    }
}

impl<T> From<Lanes<T>> for [T; 2] {
    fn from(Lanes { io, err }: Lanes<T>) -> Self {
        [io, err]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{decode, encode};

    #[test]
    fn two_lanes_have_the_bytes_of_an_array_of_two() {
        let bytes = encode(&[300_u64, 1]).unwrap();
        assert_eq!(encode(&Lanes::new(300_u64, 1)).unwrap(), bytes);
        assert_eq!(decode::<Lanes<u64>>(&bytes).unwrap(), Lanes::new(300, 1));
    }

    #[test]
    fn a_lane_is_found_by_its_name() {
        let mut lanes = Lanes::from(["out", "err"]);
        assert_eq!((lanes[Lane::Io], lanes[Lane::Err]), ("out", "err"));
        lanes[Lane::Err] = "gone";
        assert_eq!(<[&str; 2]>::from(lanes), ["out", "gone"]);
    }
}
