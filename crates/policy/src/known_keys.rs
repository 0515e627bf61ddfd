//! The condition keys a stored policy may use.
//!
//! A key nobody fills in makes a condition that never holds (or, negated, always): a misspelt
//! `ssm:resorceTag/Env` would be found the day it matters. So a document with an unknown key is not
//! stored.
//!
//! Sources: IAM User Guide, "AWS global condition context keys"; Service Authorization Reference,
//! "Actions, resources, and condition keys for AWS Systems Manager" and "... for AWS Security Token
//! Service".
//!
//! # Invariants
//! - Names are in small letters and sorted within their group for the reader; key names have no
//!   case.
//! - A name that ends with `/` stands for that name with any tag key after it.
//!
//! # Not here
//! - Whether this gateway fills a key in for a given operation: its own documentation says so.

/// Keys of every service, and those that come with role sessions.
const GLOBAL: &[&str] = &[
    "aws:assumedroot",
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:chatbotsourcearn",
    "aws:currenttime",
    "aws:ec2instancesourceprivateipv4",
    "aws:ec2instancesourcevpc",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:ismcpserviceaction",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principaltag/",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:resourcetag/",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "aws:vpcsourceip",
    "ec2:resourcetag/",
    "ec2:roledelivery",
    "ec2:sourceinstancearn",
];

/// Keys of Systems Manager. `ssm:resourceTag/` covers the tags of sessions too, such as
/// `ssm:resourceTag/aws:ssmmessages:session-id`.
const SYSTEMS_MANAGER: &[&str] = &[
    "ssm:accessrequestid",
    "ssm:autoapprove",
    "ssm:documentcategories",
    "ssm:documenttype",
    "ssm:inventorytypename",
    "ssm:nodeaccountid",
    "ssm:nodeorgid",
    "ssm:overwrite",
    "ssm:policies",
    "ssm:recursive",
    "ssm:resourcetag/",
    "ssm:sessiondocumentaccesscheck",
    "ssm:sourceinstancearn",
    "ssm:synctype",
];

/// Keys of temporary credentials, for trust policies.
const TOKEN_SERVICE: &[&str] = &[
    "sts:awsservicename",
    "sts:durationseconds",
    "sts:externalid",
    "sts:identitytokenaudience",
    "sts:requestcontext/",
    "sts:requestcontextproviders",
    "sts:rolesessionname",
    "sts:sourceidentity",
    "sts:transitivetagkeys",
];

/// Our own: the parameters of the session document or command that is asked for, defaults included,
/// by name; the whole command that they make; and the
/// keys of tags that an activation lets devices bring; the program that makes the request; owner
/// and document of a session that is watched.
const TOWLINE: &[&str] = &[
    "towline:agentkind",
    "towline:client",
    "towline:commandline",
    "towline:devicetagkeys",
    "towline:documentparameter/",
    "towline:sessiondocument",
    "towline:sessionowner",
];

/// The whole command of each step.
pub(crate) const COMMAND_LINE: &str = "towline:commandline";

/// The keys of tags that an activation lets devices bring.
pub(crate) const DEVICE_TAG_KEYS: &str = "towline:devicetagkeys";

/// The values of a document's parameters, by the parameter's name.
pub(crate) const DOCUMENT_PARAMETER: &str = "towline:documentparameter/";

/// The services whose actions exist at this gateway.
pub(crate) const OWN_SERVICES: &[&str] = &["cloudtrail", "ssm", "sts", "towline"];

/// Whether `key`, in small letters, belongs to a service whose keys never occur here. Its author
/// did not misspell one of ours.
pub(crate) fn is_of_another_service(key: &str) -> bool {
    const OWN_PREFIXES: &[&str] = &["aws", "ec2", "ssm", "ssmmessages", "sts", "towline"];
    key.split_once(':').is_some_and(|(service, _)| !OWN_PREFIXES.contains(&service))
}

/// Whether `key`, in small letters, is a key of AWS's or one of `own` (small letters, same form).
pub(crate) fn is_known(key: &str, own: &[&str]) -> bool {
    let groups = [GLOBAL, SYSTEMS_MANAGER, TOKEN_SERVICE, TOWLINE, own];
    groups.into_iter().flatten().any(|known| match known.strip_suffix('/') {
        Some(_) => key.len() > known.len() && key.starts_with(known),
        None => key == *known,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_small_letters_sorted_and_unique() {
        for group in [GLOBAL, SYSTEMS_MANAGER, TOKEN_SERVICE, TOWLINE] {
            assert!(group.iter().all(|name| *name == name.to_lowercase()));
            assert!(group.windows(2).all(|pair| pair[0] < pair[1]), "{group:?}");
        }
    }

    #[test]
    fn a_tag_prefix_needs_a_tag() {
        assert!(is_known("ssm:resourcetag/env", &[]));
        assert!(!is_known("ssm:resourcetag/", &[]));
        assert!(!is_known("ssm:resourcetag", &[]));
    }
}
