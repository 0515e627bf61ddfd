//! Devices searched: the ids that match a filter, and what the shown page of them needs.
//!
//! Data flow: [`Devices::ids`] gives all matches in one row -> the caller cuts a page ->
//! [`Devices::by_ids`] and [`Tags::of_devices`] read that page.
//!
//! # Invariants
//! - Words are compared with the texts of `device_texts`, folded by the same function.
//!
//! # Not here
//! - Which devices are connected: the gateway knows that.

use std::collections::BTreeMap;

use towline_policy::fold;

use crate::device_texts::searched;
use crate::devices::{COLUMNS, Device, DeviceFilter, Devices, device};
use crate::engine::QueryBuilder;
use crate::error::StoreError;
use crate::store::one_of;
use crate::tags::Tags;

impl Devices<'_> {
    /// Ids of up to `limit` devices that match, behind `after`, in order. One row of the engine
    /// holds them all: 100,000 rows would take the driver a third of a second.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ids(
        &self,
        filter: &DeviceFilter,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let mut query =
            QueryBuilder::new("SELECT string_agg(id, ' ') FROM (SELECT d.id AS id FROM ");
        let led_by = match filter.tags.first() {
            _ if !filter.words.is_empty() => {
                query.push("device_search s CROSS JOIN devices d WHERE d.id = s.id");
                for word in &filter.words {
                    // A text that changes without the word has it. INSTR is not in each engine.
                    query.push(" AND replace(s.text, ").push_bind(searched(word));
                    query.push(", '') <> s.text");
                }
                None
            }
            Some((key, values)) if values.len() == 1 => {
                query.push(
                    "tags f CROSS JOIN devices d \
                     WHERE d.id = f.id AND f.kind = 'device' AND f.key_folded = ",
                );
                query.push_bind(fold(key));
                one_of(&mut query, "f.value", values);
                query.push(" AND f.id > ").push_bind(after);
                Some("f.id")
            }
            _ => {
                query.push("devices d WHERE d.id = d.id");
                None
            }
        };
        if led_by.is_none() {
            query.push(" AND d.id > ").push_bind(after);
        }
        filter.push(&mut query, usize::from(led_by.is_some()));
        query.push(" ORDER BY ").push(led_by.unwrap_or("d.id"));
        query.push(" LIMIT ").push_bind(limit).push(") AS found");
        // A search reads much: it has connections of its own, as the trail's searches have.
        let row = query.build().fetch_one(&self.store.search).await?;
        let text: Option<String> = row.try_get(0)?;
        let mut ids: Vec<String> = text
            .unwrap_or_default()
            .split(' ')
            .filter(|id| !id.is_empty())
            .map(Into::into)
            .collect();
        ids.sort_unstable(); // an aggregate keeps no order
        Ok(ids)
    }

    /// The devices of these ids, in order. An id that is not there is left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn by_ids(&self, ids: &[String]) -> Result<Vec<Device>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut query: QueryBuilder = QueryBuilder::new(COLUMNS);
        query.push(" WHERE d.id = d.id");
        one_of(&mut query, "d.id", ids);
        query.push(" ORDER BY d.id");
        let rows = query.build().persistent(false).fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(device).collect::<Result<_, _>>()?)
    }
}

impl Tags<'_> {
    /// The tags of these devices, by device. A device without tags is left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of_devices(
        &self,
        ids: &[String],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, StoreError> {
        let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        if ids.is_empty() {
            return Ok(all);
        }
        let mut query: QueryBuilder =
            QueryBuilder::new("SELECT id, key, value FROM tags WHERE kind = 'device'");
        one_of(&mut query, "id", ids);
        let rows = query.build().persistent(false).fetch_all(&self.store.pool).await?;
        for row in &rows {
            let tags = all.entry(row.try_get("id")?).or_default();
            tags.insert(row.try_get("key")?, row.try_get("value")?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use towline_host::clock::UnixMillis;

    use super::*;
    use crate::engine;
    use crate::testing::{scratch, scratch_file};
    use crate::{DeviceReport, NewActivation, NewDevice, SignOfLife, Store, TagKind};

    const NOW: UnixMillis = UnixMillis(1);

    fn report(hostname: &str) -> DeviceReport {
        DeviceReport {
            hostname: hostname.into(),
            platform_name: "Debian GNU/Linux".into(),
            platform_version: "12".into(),
            ..DeviceReport::default()
        }
    }

    /// mi-1 `Pump`, mi-2 `Valve`, mi-3 without a name; tagged site=Bern, site=Basel, site=Bern.
    async fn fleet() -> (Store, tempfile::TempDir) {
        let (store, dir) = scratch().await;
        fill(&store).await;
        (store, dir)
    }

    async fn fill(store: &Store) {
        let activation = NewActivation::for_tests("a", 9, UnixMillis(i64::MAX));
        store.activations().create(&activation, NOW).await.unwrap();
        for (number, name, site) in [(1, "Pump", "Bern"), (2, "Valve", "Basel"), (3, "", "Bern")] {
            let device = NewDevice {
                name: name.into(),
                tags: vec![("Site".into(), site.into())],
                report: report(&format!("host-{number}")),
                ip: format!("192.0.2.{number}"),
                ..NewDevice::for_tests(&format!("mi-{number}"), &[number], "a")
            };
            store.devices().register(&device, NOW).await.unwrap();
        }
    }

    async fn found(store: &Store, words: &[&str]) -> Vec<String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let filter = DeviceFilter { words, ..DeviceFilter::default() };
        store.devices().ids(&filter, "", 100).await.unwrap()
    }

    #[tokio::test]
    async fn a_device_is_found_by_each_of_its_texts_in_any_letter_case() {
        let (store, _dir) = fleet().await;
        for (words, ids) in [
            (vec!["pUMP"], vec!["mi-1"]),
            (vec!["HOST-3"], vec!["mi-3"]),
            (vec!["debian", "bern"], vec!["mi-1", "mi-3"]),
            (vec!["site=basel"], vec!["mi-2"]),
            (vec!["192.0.2.2"], vec!["mi-2"]),
            (vec!["mi-3"], vec!["mi-3"]),
            (vec!["%"], vec![]),
            (vec!["pump", "basel"], vec![]),
            (vec![], vec!["mi-1", "mi-2", "mi-3"]),
        ] {
            assert_eq!(found(&store, &words).await, ids, "{words:?}");
        }
    }

    #[tokio::test]
    async fn what_changes_is_found_anew_and_what_is_removed_no_more() {
        let (store, _dir) = fleet().await;
        let tags = store.tags();
        let read = tags.of(TagKind::Device, "mi-1").await.unwrap();
        let put = [("Site".to_owned(), "Chur".to_owned())];
        tags.change(TagKind::Device, "mi-1", &read, (&[], &put)).await.unwrap();
        assert_eq!(found(&store, &["chur"]).await, ["mi-1"]);
        assert_eq!(found(&store, &["bern"]).await, ["mi-3"]);
        let arrival = Some((report("crane"), "198.51.100.7".to_owned()));
        let sign = SignOfLife { id: "mi-1".into(), at: NOW, arrival, boot: None };
        store.devices().note_signs(&[sign]).await.unwrap();
        assert_eq!(found(&store, &["crane", "198.51.100.7"]).await, ["mi-1"]);
        assert!(found(&store, &["host-1"]).await.is_empty());
        assert!(store.devices().rename("mi-1", "Sluice").await.unwrap());
        assert_eq!(found(&store, &["sluice"]).await, ["mi-1"]);
        assert!(found(&store, &["pump"]).await.is_empty());
        store.devices().remove("mi-1", NOW).await.unwrap();
        assert!(found(&store, &["crane"]).await.is_empty());
        let rows: i64 = engine::query_scalar("SELECT COUNT(*) FROM device_search")
            .fetch_one(&store.pool)
            .await
            .unwrap();
        assert_eq!(rows, 2);
    }

    #[tokio::test]
    async fn a_name_counts_and_a_host_name_only_without_one() {
        let (store, _dir) = fleet().await;
        for (name, ids) in [("Pump", vec!["mi-1"]), ("host-1", vec![]), ("host-3", vec!["mi-3"])] {
            let filter = DeviceFilter { name: Some(name.into()), ..DeviceFilter::default() };
            assert_eq!(store.devices().ids(&filter, "", 9).await.unwrap(), ids, "{name}");
        }
    }

    #[tokio::test]
    async fn words_and_a_tag_together_find_the_devices_with_both() {
        let (store, _dir) = fleet().await;
        let tags = vec![("site".to_owned(), vec!["Bern".to_owned()])];
        let words = vec!["pump".to_owned()];
        let filter = DeviceFilter { tags, words, ..DeviceFilter::default() };
        assert_eq!(store.devices().ids(&filter, "", 9).await.unwrap(), ["mi-1"]);
    }

    #[tokio::test]
    async fn devices_of_a_tag_come_in_pages_with_their_tags() {
        let (store, _dir) = fleet().await;
        let tags = vec![("sITE".to_owned(), vec!["Bern".to_owned()])];
        let filter = DeviceFilter { tags, ..DeviceFilter::default() };
        let devices = store.devices();
        assert_eq!(devices.ids(&filter, "", 1).await.unwrap(), ["mi-1"]);
        assert_eq!(devices.ids(&filter, "mi-1", 9).await.unwrap(), ["mi-3"]);
        let ids = ["mi-3", "mi-1", "mi-9"].map(str::to_owned);
        let page = devices.by_ids(&ids).await.unwrap();
        assert_eq!(page.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["mi-1", "mi-3"]);
        let tags = store.tags().of_devices(&ids).await.unwrap();
        assert_eq!(tags["mi-3"]["Site"], "Bern");
        assert!(!tags.contains_key("mi-9"));
    }

    #[tokio::test]
    async fn a_store_of_an_older_version_is_searched_after_its_next_start() {
        let (store, dir) = scratch_file().await;
        fill(&store).await;
        engine::query("DELETE FROM device_search").execute(&store.pool).await.unwrap();
        store.close().await;
        let store = Store::open(&dir.path().join("towline.db")).await.unwrap();
        assert_eq!(found(&store, &["valve"]).await, ["mi-2"]);
    }
}
