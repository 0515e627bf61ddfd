//! Trust policies hold principals, not names: a principal that a trust policy names must exist when
//! the policy is stored, and becomes an id when it goes. A later one of the same name is not
//! trusted.
//!
//! Data flow: a trust policy's text -> [`names`], for the check when it is stored; the removal or
//! creation of a principal -> [`Api::untrust`], in the same transaction.
//!
//! # Invariants
//! - Only principals of this account change; accounts, `*` and other providers stay as they are.
//! - A condition on `aws:PrincipalArn` is letters, as at AWS, and stays.

use serde_json::Value;
use towline_ssm::error::{ApiError, ErrorCode};
use towline_ssm::ids::Realm;
use towline_store::Change;

use super::internal::{OrInternal as _, internal};
use super::service::Api;

/// A principal of this account that a trust policy names.
struct Trusted<'t> {
    /// Its stored name.
    stored: String,
    /// The session of a role, where one alone is named.
    session: Option<&'t str>,
}

/// Takes an ARN apart; nothing for one of other accounts, of an account as a whole, or an id.
fn trusted<'t>(text: &'t str, realm: &Realm) -> Option<Trusted<'t>> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", _, service @ ("iam" | "sts"), _, account, resource] = parts[..] else {
        return None;
    };
    if account != realm.account {
        return None;
    }
    let (kind, name) = resource.split_once('/')?;
    match (service, kind) {
        ("iam", "user") => Some(Trusted { stored: name.to_owned(), session: None }),
        // The path of a role is not part of its name.
        ("iam", "role") => {
            let name = name.rsplit('/').next()?;
            Some(Trusted { stored: format!("role/{name}"), session: None })
        }
        ("sts", "assumed-role") => {
            let (name, session) = name.split_once('/')?;
            Some(Trusted { stored: format!("role/{name}"), session: Some(session) })
        }
        _ => None,
    }
}

/// Calls `each` with the texts of all AWS principals of a policy.
fn walk(policy: &mut Value, each: &mut impl FnMut(&mut String)) {
    let statements = match policy.get_mut("Statement") {
        Some(Value::Array(all)) => all.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => return,
    };
    for statement in statements {
        for element in ["Principal", "NotPrincipal"] {
            match statement.get_mut(element).and_then(|principals| principals.get_mut("AWS")) {
                Some(Value::String(text)) => each(text),
                Some(Value::Array(all)) => {
                    for value in all {
                        if let Value::String(text) = value {
                            each(text);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

fn read(text: &str) -> Result<Value, ApiError> {
    serde_json::from_str(text).map_err(|error| internal("a trust policy that was checked", &error))
}

/// Stored names of the principals of this account that a checked trust policy names.
fn names(text: &str, realm: &Realm) -> Result<Vec<String>, ApiError> {
    let mut found = Vec::new();
    walk(&mut read(text)?, &mut |arn| {
        found.extend(trusted(arn, realm).map(|trusted| trusted.stored));
    });
    Ok(found)
}

/// The text with the id of a principal in place of its name; nothing when it does not name it.
fn with_id(text: &str, stored: &str, id: &str, realm: &Realm) -> Result<Option<String>, ApiError> {
    let mut policy = read(text)?;
    let mut named = false;
    walk(&mut policy, &mut |arn| {
        let Some(trusted) = trusted(arn, realm).filter(|trusted| trusted.stored == stored) else {
            return;
        };
        named = true;
        *arn = match trusted.session {
            None => id.to_owned(),
            Some(session) => format!("{id}:{session}"),
        };
    });
    Ok(named.then(|| policy.to_string()))
}

impl Api {
    /// Refuses a trust policy that names nobody under a name of this account.
    ///
    /// # Errors
    /// `MalformedPolicyDocument`, as at AWS.
    pub(super) async fn trusted_exist(
        &self,
        change: &mut Change,
        text: &str,
    ) -> Result<(), ApiError> {
        let names = names(text, self.realm())?;
        let missing = change.first_missing(&names).await.or_internal("cannot read principals")?;
        let Some(missing) = missing else { return Ok(()) };
        let missing =
            if missing.contains('/') { missing.to_owned() } else { format!("user/{missing}") };
        let message = format!(
            "invalid principal in the trust policy: there is no {missing} here; create it first"
        );
        Err(ApiError::new(ErrorCode::MalformedPolicyDocument, message))
    }

    /// Puts the id in place of the name in all trust policies. Returns how many named it.
    pub(super) async fn untrust(
        &self,
        change: &mut Change,
        stored: &str,
        id: &str,
    ) -> Result<usize, ApiError> {
        let mut changed = 0;
        for trust in change.trusts().await.or_internal("cannot read trust policies")? {
            let Some(text) = with_id(&trust.text, stored, id, self.realm())? else { continue };
            let done = change.update_role(&trust.role, Some(&text), None).await;
            done.or_internal("cannot change a trust policy")?;
            changed += 1;
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm() -> Realm {
        Realm { region: "r".into(), account: "000000000000".into() }
    }

    fn policy(principals: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":{principals}}},
            "Action":"sts:AssumeRole","Condition":{{"StringEquals":{{"aws:PrincipalArn":"arn:aws:iam::000000000000:user/ann"}}}}}}]}}"#
        )
    }

    #[test]
    fn the_id_stands_for_the_name_in_every_form_of_it_and_nowhere_else() {
        let ann = "arn:aws:iam::000000000000:user/ann";
        for (text, stored, expected) in [
            (ann, "ann", "AIDA1"),
            ("arn:aws:iam::000000000000:role/ann", "role/ann", "AIDA1"),
            ("arn:aws:iam::000000000000:role/path/ann", "role/ann", "AIDA1"),
            ("arn:aws:sts::000000000000:assumed-role/ann/s", "role/ann", "AIDA1:s"),
        ] {
            assert_eq!(names(&policy(&format!("{text:?}")), &realm()).unwrap(), [stored]);
            let list = policy(&format!("[\"*\", {text:?}]"));
            let changed = with_id(&list, stored, "AIDA1", &realm()).unwrap().unwrap();
            let changed: Value = serde_json::from_str(&changed).unwrap();
            let statement = &changed["Statement"][0];
            assert_eq!(statement["Principal"]["AWS"][1], expected, "{text}");
            assert_eq!(statement["Condition"]["StringEquals"]["aws:PrincipalArn"], ann);
        }
        for other in ["arn:aws:iam::111111111111:user/ann", "arn:aws:iam::000000000000:root", "*"] {
            let text = policy(&format!("{other:?}"));
            assert!(names(&text, &realm()).unwrap().is_empty(), "{other}");
            assert_eq!(with_id(&text, "ann", "AIDA1", &realm()).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn letters_that_json_escapes_are_the_same_letters() {
        let escaped = policy(r#""arn:aws:iam::000000000000:user\/\u0061nn""#);
        assert_eq!(names(&escaped, &realm()).unwrap(), ["ann"]);
        let one = escaped.replace(['[', ']'], "");
        let changed = with_id(&one, "ann", "AIDA1", &realm()).unwrap().unwrap();
        assert!(changed.contains(r#""AWS":"AIDA1""#), "{changed}");
    }
}
