//! GetInventory, as far as `AWS:InstanceInformation` goes: what tools read to find devices.
//!
//! Data flow: as of [`super`]. The gateway brings the devices; [`GetInventoryRequest::takes`]
//! filters them.
//!
//! # Invariants
//! - A filter on an attribute that is not there matches nothing but `NotEqual`, as at AWS.
//!
//! # Not here
//! - Other types of inventory: devices report none. Aggregators are refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Request, Violations};
use crate::error::{ApiError, ErrorCode};

/// The one type of inventory.
pub const INSTANCE_INFORMATION: &str = "AWS:InstanceInformation";
const OPERATORS: &[&str] = &["Equal", "NotEqual", "BeginWith", "LessThan", "GreaterThan", "Exists"];

/// Asks for the inventory of devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetInventoryRequest {
    /// All of them must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<InventoryFilter>,
    /// Refused when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregators: Vec<serde_json::Value>,
    /// The types that are wanted; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub result_attributes: Vec<ResultAttribute>,
    /// Page size, 1 to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InventoryFilter {
    /// `AWS:InstanceInformation.` and an attribute.
    pub key: String,
    /// 1 to 40 values.
    pub values: Vec<String>,
    /// `Equal` when absent.
    #[serde(rename = "Type", default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

/// A type of inventory that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResultAttribute {
    /// Its name.
    pub type_name: String,
}

impl Request for GetInventoryRequest {
    fn check(&self, v: &mut Violations) {
        v.range("MaxResults", self.max_results, 1, 50);
        v.items("Filters", self.filters.len(), 0, 5);
        for filter in &self.filters {
            v.length("Filters Key", &filter.key, 1, 200);
            v.items("Filters Values", filter.values.len(), 1, 40);
            v.one_of("Filters Type", filter.operator.as_deref().unwrap_or("Equal"), OPERATORS);
        }
        v.items("ResultAttributes", self.result_attributes.len(), 0, 1);
        for wanted in &self.result_attributes {
            v.length("ResultAttributes TypeName", &wanted.type_name, 1, 100);
        }
    }
}

impl GetInventoryRequest {
    /// Whether the answer has any device: another type than the one served has none.
    ///
    /// # Errors
    /// `InvalidAggregatorException` for aggregators, `InvalidFilter` for a key of no known type.
    pub fn is_served(&self) -> Result<bool, ApiError> {
        if !self.aggregators.is_empty() {
            let message = "this gateway does not aggregate: leave Aggregators out";
            return Err(ApiError::new(ErrorCode::InvalidAggregatorException, message));
        }
        for filter in &self.filters {
            let attribute = filter.key.strip_prefix(INSTANCE_INFORMATION);
            let attribute = attribute.and_then(|rest| rest.strip_prefix('.'));
            if attribute.is_none_or(str::is_empty) {
                let message = format!(
                    "filter keys are {INSTANCE_INFORMATION}. and an attribute, such as InstanceId: \
                     devices here report no other inventory"
                );
                return Err(ApiError::new(ErrorCode::InvalidFilter, message));
            }
        }
        Ok(self.result_attributes.iter().all(|wanted| wanted.type_name == INSTANCE_INFORMATION))
    }

    /// Whether a device with these attributes is wanted.
    #[must_use]
    pub fn takes(&self, device: &BTreeMap<String, String>) -> bool {
        self.filters.iter().all(|filter| {
            let name = filter.key.rsplit('.').next().unwrap_or_default();
            let own = device.get(name);
            let any = |test: &dyn Fn(&str, &str) -> bool| {
                own.is_some_and(|own| filter.values.iter().any(|value| test(own, value)))
            };
            match filter.operator.as_deref() {
                Some("NotEqual") => !any(&|own, value| own == value),
                Some("BeginWith") => any(&|own, value| own.starts_with(value)),
                Some("LessThan") => any(&|own, value| own < value),
                Some("GreaterThan") => any(&|own, value| own > value),
                Some("Exists") => own.is_some(),
                _ => any(&|own, value| own == value),
            }
        })
    }
}

/// A page of inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetInventoryResult {
    /// The devices.
    #[serde(default)]
    pub entities: Vec<InventoryEntity>,
    /// Where the next page goes on; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InventoryEntity {
    /// Its id.
    pub id: String,
    /// Its inventory by type.
    pub data: BTreeMap<String, InventoryItem>,
}

/// What a device reported of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InventoryItem {
    /// The type.
    pub type_name: String,
    /// Version of the type's attributes.
    pub schema_version: String,
    /// When, ISO 8601 in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_time: Option<String>,
    /// Its attributes, one set.
    pub content: Vec<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(name: &str, operator: Option<&str>, values: &[&str]) -> GetInventoryRequest {
        let filter = InventoryFilter {
            key: format!("{INSTANCE_INFORMATION}.{name}"),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            operator: operator.map(str::to_owned),
        };
        GetInventoryRequest { filters: vec![filter], ..GetInventoryRequest::default() }
    }

    #[test]
    fn filters_compare_attributes_as_their_operator_says() {
        let device = BTreeMap::from([("PlatformName".to_owned(), "Debian".to_owned())]);
        for (operator, values, taken) in [
            (None, &["Alpine", "Debian"][..], true),
            (Some("Equal"), &["debian"], false),
            (Some("NotEqual"), &["Alpine"], true),
            (Some("NotEqual"), &["Alpine", "Debian"], false),
            (Some("BeginWith"), &["Deb"], true),
            (Some("LessThan"), &["E"], true),
            (Some("GreaterThan"), &["E"], false),
            (Some("Exists"), &["x"], true),
        ] {
            assert_eq!(
                filter("PlatformName", operator, values).takes(&device),
                taken,
                "{values:?}"
            );
        }
        assert!(!filter("Other", None, &["x"]).takes(&device));
        assert!(filter("Other", Some("NotEqual"), &["x"]).takes(&device));
    }

    #[test]
    fn another_type_has_no_devices_and_aggregators_are_refused() {
        let other = ResultAttribute { type_name: "AWS:Application".to_owned() };
        let asked = GetInventoryRequest {
            result_attributes: vec![other],
            ..GetInventoryRequest::default()
        };
        assert_eq!(asked.is_served(), Ok(false));
        let mut wrong = filter("x", None, &["x"]);
        wrong.filters[0].key = "AWS:Service.Status".to_owned();
        assert_eq!(wrong.is_served().unwrap_err().code, ErrorCode::InvalidFilter);
        let aggregates = GetInventoryRequest {
            aggregators: vec![serde_json::Value::Null],
            ..GetInventoryRequest::default()
        };
        assert_eq!(aggregates.is_served().unwrap_err().code, ErrorCode::InvalidAggregatorException);
    }
}
