//! Where settings come from, as a specification.

use super::ConfigError;
use super::raw::*;
use super::settings::*;

struct Home(tempfile::TempDir);

impl Home {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = std::fs::File::create(path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        }
        Self(folder)
    }

    fn resolve<const N: usize>(
        &self,
        flags: &Flags,
        variables: [(&str, &str); N],
    ) -> Result<Settings, ConfigError> {
        let home = self.0.path().to_str().unwrap().to_owned();
        let mut all: Vec<(&str, &str)> = variables.to_vec();
        all.push(("HOME", &home));
        // Fixed size wants to be known: five are enough for every test here.
        all.resize(6, ("UNUSED", ""));
        let all: [(&str, &str); 6] = all.try_into().unwrap();
        Settings::resolve(flags, &Environment::from(all))
    }
}

const KEYS: &str = "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s1\n\
                    [ops]\naws_access_key_id = AKIAOPS\naws_secret_access_key = \
                    s2\naws_session_token = t2\n";
const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile ops]\nregion = eu-north-1\n\
                      endpoint_url = https://ops.example\nca_bundle = ~/ops.pem\n";

fn flags() -> Flags {
    Flags { endpoint: Some("https://flag.example".into()), ..Flags::default() }
}

#[test]
fn the_default_profile_is_used_when_none_is_named() {
    let settings = Home::with(&[(".aws/credentials", KEYS), (".aws/config", CONFIG)])
        .resolve(&flags(), [])
        .unwrap();
    assert_eq!(settings.identity.as_ref().unwrap().access_key, "AKIADEFAULT");
    assert_eq!(settings.identity.as_ref().unwrap().secret.expose(), "s1");
    assert_eq!(settings.region, "eu-west-1");
    assert_eq!(settings.ca, None);
}

#[test]
fn a_profile_brings_keys_token_region_endpoint_and_authority() {
    let home = Home::with(&[(".aws/credentials", KEYS), (".aws/config", CONFIG)]);
    let settings = home.resolve(&Flags::default(), [("AWS_PROFILE", "ops")]).unwrap();
    assert_eq!(settings.identity.as_ref().unwrap().access_key, "AKIAOPS");
    assert_eq!(settings.identity.as_ref().unwrap().session_token.as_deref(), Some("t2"));
    assert_eq!(
        (settings.region.as_str(), settings.endpoint.host.as_str()),
        ("eu-north-1", "ops.example")
    );
    assert_eq!(settings.ca, Some(home.0.path().join("ops.pem")));
}

#[test]
fn the_environment_goes_before_files_but_not_before_a_profile_named_on_the_command_line() {
    let home = Home::with(&[(".aws/credentials", KEYS), (".aws/config", CONFIG)]);
    let environment =
        [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "s3"), ("AWS_REGION", "xx-1")];
    let settings = home.resolve(&flags(), environment).unwrap();
    assert_eq!(
        (settings.identity.as_ref().unwrap().access_key.as_str(), settings.region.as_str()),
        ("AKIAENV", "xx-1")
    );
    let settings =
        home.resolve(&Flags { profile: Some("ops".into()), ..flags() }, environment).unwrap();
    assert_eq!(settings.identity.as_ref().unwrap().access_key, "AKIAOPS");
}

#[test]
fn the_endpoint_is_that_of_flag_environment_own_file_and_profile_in_this_order() {
    let own = "endpoint = \"https://own.example\"\nca = \"/own.pem\"\nuser = \"pi\"\n";
    let home = Home::with(&[(".aws/credentials", KEYS), (".config/towline/config.toml", own)]);
    let host = |flags: &Flags, variables| home.resolve(flags, variables).unwrap().endpoint.host;
    let both = [
        ("TOWLINE_ENDPOINT", "https://env.example"),
        ("AWS_ENDPOINT_URL_SSM", "https://aws.example"),
    ];
    assert_eq!(host(&flags(), both), "flag.example");
    assert_eq!(host(&Flags::default(), both), "env.example");
    assert_eq!(host(&Flags::default(), [both[1], ("X", "")]), "aws.example");
    let settings = home.resolve(&Flags::default(), []).unwrap();
    assert_eq!(settings.endpoint.host, "own.example");
    assert_eq!((settings.ca, settings.user.as_deref()), (Some("/own.pem".into()), Some("pi")));
    assert_eq!(settings.region, "xx-towline-1", "what towline-gateway init makes");
}

#[test]
fn an_error_names_what_is_missing_and_what_to_do() {
    let empty = Home::with(&[]);
    let text = |result: Result<Settings, ConfigError>| result.unwrap_err().to_string();
    assert!(text(empty.resolve(&Flags::default(), [])).contains("--endpoint"));
    assert!(text(empty.resolve(&flags(), [])).contains("AWS_ACCESS_KEY_ID"));
    assert!(
        text(empty.resolve(&flags(), [("AWS_PROFILE", "gone")]))
            .contains("profile `gone` is not in")
    );
    let half = text(empty.resolve(&flags(), [("AWS_SECRET_ACCESS_KEY", "TOPSECRET")]));
    assert!(half.contains("AWS_ACCESS_KEY_ID is not") && !half.contains("TOPSECRET"), "{half}");
    let role = Home::with(&[(".aws/config", "[default]\nrole_arn = arn:x\n")]);
    assert!(text(role.resolve(&flags(), [])).contains("role"));
    let misspelt = Home::with(&[
        (".aws/credentials", KEYS),
        (".config/towline/config.toml", "endpiont = \"x\"\n"),
    ]);
    assert!(text(misspelt.resolve(&flags(), [])).contains("endpiont"));
}

#[test]
fn a_secret_is_not_printed() {
    let settings = Home::with(&[(
        ".aws/credentials",
        "[default]\naws_access_key_id=A\naws_secret_access_key=TOPSECRET\n",
    )])
    .resolve(&flags(), [])
    .unwrap();
    assert!(!format!("{settings:?}").contains("TOPSECRET"));
}

#[test]
fn a_mistake_in_the_own_file_is_named_with_its_line() {
    let home = Home::with(&[(".config/towline/config.toml", "user = \"pi\"\nendpont = \"x\"\n")]);
    let told = home.resolve(&flags(), []).unwrap_err().to_string();
    assert!(told.contains("config.toml:2: unknown field `endpont`"), "{told}");
}

#[test]
fn an_own_file_that_is_named_must_be_there_and_the_usual_one_need_not() {
    let home = Home::with(&[(".aws/credentials", KEYS)]);
    home.resolve(&flags(), []).unwrap();
    let gone = home.0.path().join("gone.toml");
    let named = [("TOWLINE_CONFIG", gone.to_str().unwrap())];
    let told = home.resolve(&flags(), named).unwrap_err().to_string();
    assert!(told.contains("gone.toml: TOWLINE_CONFIG names it"), "{told}");
}

#[test]
fn each_key_of_the_own_file_is_in_the_page_of_the_settings() {
    let home = Home::with(&[(".config/towline/config.toml", "zzz = 1\n")]);
    let told = home.resolve(&flags(), []).unwrap_err().to_string();
    let keys: Vec<&str> = told.split('`').skip(3).step_by(2).collect();
    assert!(keys.len() == 5 && keys.contains(&"ca"), "{told}");
    let page = include_str!("../../../../docs/settings.md");
    let page = &page[page.find("## The command line").unwrap()..];
    for key in keys {
        assert!(page.contains(&format!("`{key}`")), "docs/settings.md has no `{key}`");
    }
}
