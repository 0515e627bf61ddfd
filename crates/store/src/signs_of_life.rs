//! Signs of life: what devices report when they connect, and when they were last there.
//!
//! # Invariants
//! - Many signs are one transaction: a fleet of 100,000 devices may return within minutes.
//! - A sign of a device that was removed meanwhile changes nothing.

use towline_host::clock::UnixMillis;

use crate::device_texts;
use crate::devices::{DeviceReport, Devices};
use crate::engine::{self, Tx};
use crate::error::StoreError;

/// A device was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOfLife {
    /// The device.
    pub id: String,
    /// When.
    pub at: UnixMillis,
    /// Its report and its address, when it has connected.
    pub arrival: Option<(DeviceReport, String)>,
    /// The start of its agent that has connected, of our own agent.
    pub boot: Option<[u8; 16]>,
}

impl Devices<'_> {
    /// Stores signs of life, in their order.
    ///
    /// # Errors
    /// [`StoreError::Database`]; none of them is stored then.
    pub async fn note_signs(&self, signs: &[SignOfLife]) -> Result<(), StoreError> {
        if signs.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.writing().await?;
        for sign in signs {
            match &sign.arrival {
                Some((report, ip)) => arrived(&mut tx, sign, report, ip).await?,
                None => {
                    engine::query("UPDATE devices SET last_ping = ? WHERE id = ?")
                        .bind(sign.at.0)
                        .bind(&sign.id)
                        .execute(&mut *tx)
                        .await?;
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn arrived(
    tx: &mut Tx,
    sign: &SignOfLife,
    report: &DeviceReport,
    ip: &str,
) -> Result<(), StoreError> {
    // A text is written only when it is another one.
    let is_found_alike: Option<(i64,)> = engine::query_as(
        "SELECT 1 FROM devices WHERE id = ? AND platform_name = ? AND platform_version = ? \
         AND hostname = ? AND ip = ?",
    )
    .bind(&sign.id)
    .bind(&report.platform_name)
    .bind(&report.platform_version)
    .bind(&report.hostname)
    .bind(ip)
    .fetch_optional(&mut **tx)
    .await?;
    engine::query(
        "UPDATE devices SET agent_version = ?, platform_type = ?, platform_name = ?, \
         platform_version = ?, hostname = ?, target = ?, ip = ?, last_ping = ?, boot = ? WHERE id = ?",
    )
    .bind(&report.agent_version)
    .bind(report.platform_type())
    .bind(&report.platform_name)
    .bind(&report.platform_version)
    .bind(&report.hostname)
    .bind(&report.target)
    .bind(ip)
    .bind(sign.at.0)
    .bind(sign.boot.map(|boot| boot.to_vec()))
    .bind(&sign.id)
    .execute(&mut **tx)
    .await?;
    if is_found_alike.is_none() {
        device_texts::note(tx, &sign.id).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;
    use crate::{NewActivation, NewDevice};

    #[tokio::test]
    async fn signs_of_many_devices_are_stored_at_once_and_in_order() {
        let (store, _dir) = scratch().await;
        let activation = NewActivation::for_tests("a", 3, UnixMillis(i64::MAX));
        store.activations().create(&activation, UnixMillis(1)).await.unwrap();
        for n in 0..3_u8 {
            let device = NewDevice::for_tests(&format!("mi-{n}"), &[n], "a");
            store.devices().register(&device, UnixMillis(1)).await.unwrap();
        }
        let report = DeviceReport { hostname: "pump".into(), ..DeviceReport::default() };
        let sign = |id: &str, at, arrival| SignOfLife {
            id: id.into(),
            at: UnixMillis(at),
            arrival,
            boot: None,
        };
        let signs = [
            sign("mi-0", 10, Some((report.clone(), "192.0.2.7".into()))),
            sign("mi-gone", 11, Some((report, "192.0.2.8".into()))),
            sign("mi-1", 12, None),
            sign("mi-0", 13, None),
        ];
        store.devices().note_signs(&signs).await.unwrap();
        let shown = |device: crate::Device| (device.report.hostname, device.ip, device.last_ping.0);
        let mut all = Vec::new();
        for n in 0..3 {
            all.push(shown(store.devices().get(&format!("mi-{n}")).await.unwrap().unwrap()));
        }
        let was = |hostname: &str, ip: &str, at| (hostname.to_owned(), ip.to_owned(), at);
        let expected =
            [was("pump", "192.0.2.7", 13), was("", "192.0.2.1", 12), was("", "192.0.2.1", 1)];
        assert_eq!(all, expected);
    }
}
