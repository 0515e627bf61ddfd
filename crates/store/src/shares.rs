//! Room that is divided: nobody loses a row while another one keeps more.

/// The greatest number of rows that each may have so that all together have at most `most`.
pub(crate) fn share(mut rows: Vec<i64>, most: i64) -> i64 {
    rows.sort_unstable();
    let (mut room, mut others) = (most, i64::try_from(rows.len()).unwrap_or(i64::MAX));
    for rows in rows {
        if rows > room / others {
            return room / others;
        }
        room -= rows;
        others -= 1;
    }
    i64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_divided_so_that_the_small_lose_nothing() {
        assert_eq!(share(vec![10, 1, 2], 100), i64::MAX);
        assert_eq!(share(vec![1000, 1, 9], 100), 90);
        assert_eq!(share(vec![60, 60, 5], 100), 47);
        assert_eq!(share(vec![60, 60, 60], 100), 33);
    }
}
