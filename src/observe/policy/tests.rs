//! The policy: which of files and flags takes precedence, and which values are refused.

use super::*;
use crate::facts::{Facts, Source};
use crate::observe::{Decision, Selection, select};

fn layered(file: &str, flags: Fragment) -> Result<Policy> {
    let mut policy = Policy { layers: vec![(Origin::Default, defaults())], until: None };
    policy.file(POLICY, file)?;
    policy.push(Origin::Flag, flags)?;
    Ok(policy)
}

#[test]
fn later_layers_win_and_are_named() {
    let flags = Fragment { repository: Some("https://b".into()), ..Fragment::default() };
    let policy = layered("repository = 'https://a'\nbudget = '5m'\n", flags).unwrap();
    assert_eq!(policy.repository().unwrap(), Sourced { value: "https://b".into(), origin: Origin::Flag });
    assert_eq!(policy.budget(), Sourced { value: Seconds(300), origin: Origin::File(POLICY.into()) });
    assert_eq!(policy.secret().origin, Origin::Default);
}

#[test]
fn recorded_flags_are_a_layer_between_file_and_flags() {
    let policy = layered("repository = 'https://a'\n", Fragment::default()).unwrap();
    let policy = policy.recorded(Path::new("/r.toml"), "repository = 'https://r'\n").unwrap();
    assert_eq!(policy.repository().unwrap().origin, Origin::Recorded("/r.toml".into()));
    let flags = Fragment { repository: Some("https://f".into()), ..Fragment::default() };
    let policy =
        layered("", flags).unwrap().recorded(Path::new("/r.toml"), "repository = 'https://r'").unwrap();
    assert_eq!(policy.repository().unwrap().origin, Origin::Flag);
}

#[test]
fn all_flags_so_far_are_recorded_and_not_the_file() {
    let flags = Fragment { budget: Some(Seconds(60)), ..Fragment::default() };
    let policy = layered("secret = 's'\n", flags).unwrap();
    let policy = policy.recorded(Path::new("/r.toml"), "repository = 'https://r'\nbudget = 30\n").unwrap();
    let text = policy.recordable().unwrap().unwrap();
    let again = parse("/r.toml", &text).unwrap();
    assert_eq!((again.repository.as_deref(), again.budget), (Some("https://r"), Some(Seconds(60))), "{text}");
    assert_eq!(again.secret, None, "{text}");
    assert_eq!(layered("secret = 's'\n", Fragment::default()).unwrap().recordable().unwrap(), None);
}

#[test]
fn named_environments_replace_the_default_ones() {
    let policy = layered("[environments]\nlive = 'release/1'\n", Fragment::default()).unwrap();
    assert_eq!(policy.environments().value, BTreeMap::from([("live".to_owned(), "release/1".to_owned())]));
}

#[test]
fn errors_name_the_line() {
    for (text, says) in [
        ("repository = 'x'\nrepostory = 'y'\n", "policy.toml:2"),
        ("[environments]\n'Prod!' = 'main'\n", "Prod!"),
        ("[environments]\nprod = '../main'\n", "../main"),
        ("services = ['Root']\n", "Root"),
        ("budget = '2h'\n", "one hour"),
        ("budget = 'soon'\n", "policy.toml:1"),
        ("budget = 0\n", "budget is 0"),
        (
            "repository = 'https://g/acme/{name}.git'\n",
            "repository has {name}: only {service} and {environment}",
        ),
        ("secret = '{Service}'\n", "secret has {Service}:"),
        ("git_credential = 'git/{service'\n", "git_credential has {service:"),
        ("[network]\nproxy = 'https://proxy:3128'\n", "http://host:port"),
        ("[network]\nno_proxy = ['10.0.0.0/8']\n", "no ranges"),
        ("[network]\nca_file = 'ca.pem'\n", "absolute"),
        ("[mirrors]\nnpm = 'http://npm.example'\n", "https://host/path"),
    ] {
        let error = layered(text, Fragment::default()).unwrap_err();
        assert_eq!(error.code(), Code::PolicyInvalid, "{text}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn the_network_is_layered_key_by_key() {
    let file = "[network]\nproxy = 'http://p:1'\nno_proxy = ['.acme.test']\n[mirrors]\nnpm = 'https://n/'\n";
    let policy = layered(file, Fragment::default()).unwrap();
    let policy = policy.recorded(Path::new("/r.toml"), "[network]\nproxy = 'http://q:2'\n").unwrap();
    let network = policy.network();
    assert_eq!(network.proxy.unwrap().as_str(), "http://q:2");
    assert_eq!(network.no_proxy, ["acme.test".try_into().unwrap()]);
    assert_eq!(policy.mirrors()["npm"].as_str(), "https://n");
    let said: Vec<String> = policy
        .network_settings()
        .iter()
        .map(|setting| format!("{} {} {}", setting.name, setting.value, setting.origin))
        .collect();
    assert_eq!(
        said,
        [
            "network.proxy http://q:2 flag of an earlier run, recorded in /r.toml".to_owned(),
            format!("network.no_proxy acme.test {POLICY}"),
            format!("mirrors.npm https://n {POLICY}"),
        ]
    );
    assert_eq!(layered("", Fragment::default()).unwrap().network_settings(), []);
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    for text in [
        "[network]\nproxy = 'http://me:hunter2@proxy:3128'\n",
        "[mirrors]\nnpm = 'https://me:hunter2@npm.example'\n",
    ] {
        let error = layered(text, Fragment::default()).unwrap_err();
        assert_eq!(error.code(), Code::PolicyInvalid, "{text}");
        assert!(
            error.to_string().contains("policy.toml:2") && error.to_string().contains("a password"),
            "{error}"
        );
        assert!(
            !error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn host_keys_are_read_and_recorded_as_they_are_written() {
    let line = "git.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let text = format!("[git]\nhost_keys = ['{line}']\n");
    let policy = layered(&text, Fragment::default()).unwrap();
    assert!(policy.host_keys()[0].is_of("git.example", 22));
    assert_eq!(toml::to_string(&parse(POLICY, &text).unwrap()).unwrap(), text.replace('\'', "\""));
    assert!(layered("", Fragment::default()).unwrap().host_keys().is_empty());
    for wrong in ["git.example ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ==", "git.example", "SHA256:+DiY3"] {
        let error = layered(&format!("[git]\nhost_keys = ['{wrong}']\n"), Fragment::default()).unwrap_err();
        assert_eq!(error.code(), Code::PolicyInvalid, "{wrong}");
        assert!(error.to_string().contains("policy.toml:2"), "{error}");
    }
}

#[test]
fn ssh_addresses_have_users_and_no_passwords() {
    let at = |repository: &str| layered(&format!("repository = '{repository}'\n"), Fragment::default());
    for good in ["ssh://git@git.example/a.git", "git@git.example:acme/a.git", "https://git.example/a@b"] {
        assert!(at(good).is_ok() && Fragment::is_address(good), "{good}");
    }
    assert!(!["/srv/a.git", ".", "a:b/c@d"].into_iter().any(Fragment::is_address));
    for bad in ["ssh://git:hunter2@git.example/a.git", "https://hunter2@git.example/a.git", "http://a:b@c/d"]
    {
        let error = at(bad).unwrap_err();
        assert_eq!(error.code(), Code::RepositoryInvalid);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

/// An instance that is pinned to a commit of acme/auth, fetched with the credential `git/a`.
fn selected(file: &str, flags: Fragment, update: bool) -> Result<Selection> {
    selected_in("test", file, flags, update)
}

fn selected_in(environment: &str, file: &str, flags: Fragment, update: bool) -> Result<Selection> {
    selected_with(&[], environment, file, flags, update)
}

fn selected_with(
    tags: &[(&str, &str)],
    environment: &str,
    file: &str,
    flags: Fragment,
    update: bool,
) -> Result<Selection> {
    let decided = Decision {
        schema: 1,
        service: "auth".try_into().unwrap(),
        environment: environment.try_into().unwrap(),
        source: Source {
            repository: "https://git.example/acme/auth".into(),
            branch: "test".try_into().unwrap(),
            commit: "0123456789abcdef0123456789abcdef01234567".try_into().unwrap(),
            ..crate::facts::testing::source(&[])
        },
        credential: Some("git/a".into()),
    };
    let tags = Some(tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
    select(&Facts { tags, ..Facts::default() }, &layered(file, flags)?, Some(&decided), update)
}

fn flags(repository: Option<&str>, credential: Option<&str>) -> Fragment {
    let [repository, git_credential] = [repository, credential].map(|said| said.map(str::to_owned));
    Fragment { repository, git_credential, ..Fragment::default() }
}

const ACME: &str = "repository = 'https://git.example/acme/{service}/'\ngit_credential = 'git/a'\n";

#[test]
fn a_flag_that_contradicts_the_record_is_refused_without_an_update() {
    let other = "https://git.example/acme/other";
    for (flags, says) in [
        (flags(Some(other), None), "--repository https://git.example/acme/other"),
        (
            flags(Some("https://git.example/{service}/auth"), None),
            "--repository https://git.example/auth/auth",
        ),
        (flags(None, Some("git/b")), "--git-credential-secret git/b"),
    ] {
        let error = selected(ACME, flags.clone(), false).unwrap_err();
        assert_eq!(error.code(), Code::Usage, "{error}");
        assert!(error.to_string().contains(says) && error.to_string().contains("--update"), "{error}");
        assert!(selected(ACME, flags, true).is_ok());
    }
    assert_eq!(selected(ACME, flags(Some(other), None), true).unwrap().repository, other);
    let same = flags(Some("https://git.example/acme/{service}"), Some("git/a"));
    assert_eq!(selected("", same, false).unwrap().credential.as_deref(), Some("git/a"));
}

#[test]
fn a_long_name_of_the_pinned_environment_is_not_a_contradiction_unless_another_one_has_it() {
    let said = |name: &str| Fragment { environment: Some(name.to_owned()), ..Fragment::default() };
    for name in ["prod", "production"] {
        assert_eq!(
            selected_in("prod", ACME, said(name), false).unwrap().environment.as_str(),
            "prod",
            "{name}"
        );
    }
    assert_eq!(selected_in("prod", ACME, said("staging"), false).unwrap_err().code(), Code::Usage);
    let both = format!("{ACME}[environments]\nprod = 'main'\nproduction = 'live'\n");
    assert_eq!(selected_in("prod", &both, said("production"), false).unwrap_err().code(), Code::Usage);
    assert!(selected_in("production", &both, said("production"), false).is_ok());
}

#[test]
fn a_changed_policy_file_does_not_change_the_repository_of_the_pinned_commit() {
    let moved = "repository = 'https://elsewhere.example/{service}'\ngit_credential = 'git/elsewhere'\n";
    let kept = selected(moved, Fragment::default(), false).unwrap();
    assert_eq!(kept.repository, "https://git.example/acme/auth");
    assert_eq!(kept.credential.as_deref(), Some("git/a"), "a credential for another server");
    let setting = kept.settings.iter().find(|setting| setting.name == "repository").unwrap();
    assert_eq!(setting.origin, "pinned at this instance's first boot");
    let renamed = ACME.replace("git/a", "git/new");
    let kept = selected(&renamed, Fragment::default(), false).unwrap();
    assert_eq!(
        kept.credential.as_deref(),
        Some("git/new"),
        "the same repository's credential has a new name"
    );
    assert_eq!(
        selected(moved, Fragment::default(), true).unwrap().repository,
        "https://elsewhere.example/auth"
    );
}

const TAGS: [(&str, &str); 3] =
    [("bootagent:service", "mail"), ("bootagent:environment", "production"), ("bootagent:ref", "fedcba9876")];

#[test]
fn changed_tags_are_only_noted_until_an_update() {
    let kept = selected_with(&TAGS, "test", ACME, Fragment::default(), false).unwrap();
    let pinned = kept.pinned.as_ref().map(|commit| commit.as_str().len());
    assert_eq!((kept.service.as_str(), kept.environment.as_str(), pinned), ("auth", "test", Some(40)));
    assert_eq!(
        kept.notes,
        [
            "tag bootagent:service says mail, and this instance stays auth: bootagent update applies it",
            "tag bootagent:environment says production, and this instance stays in test: bootagent update applies it",
            "tag bootagent:ref says fedcba9876, and this instance stays at 0123456789ab: bootagent update applies it",
        ]
    );
    let updated = selected_with(&TAGS, "test", ACME, Fragment::default(), true).unwrap();
    let pinned = updated.pinned.as_ref().map(|commit| commit.as_str());
    assert_eq!(
        (updated.service.as_str(), updated.environment.as_str(), pinned),
        ("mail", "prod", Some("fedcba9876"))
    );
    assert_eq!(updated.branch.as_str(), "main");
    assert!(updated.notes.is_empty());
}

#[test]
fn tags_with_another_form_of_the_same_value_are_not_noted() {
    let same =
        [("bootagent:service", "auth"), ("bootagent:environment", "prod"), ("bootagent:ref", "0123456789ab")];
    for environment in ["prod", "production"] {
        let tags = [same[0], ("bootagent:environment", environment), same[2]];
        let kept = selected_with(&tags, "prod", ACME, Fragment::default(), false).unwrap();
        assert!(kept.notes.is_empty(), "{:?}", kept.notes);
    }
    assert!(selected(ACME, Fragment::default(), false).unwrap().notes.is_empty(), "there are no tags");
    let flags = Fragment { commit: Some("0123456789ab".into()), ..Fragment::default() };
    assert!(selected(ACME, flags, false).is_ok(), "the beginning of the pinned commit's id");
}

#[test]
fn an_update_keeps_what_neither_policy_nor_tags_name() {
    let updated = selected(ACME, Fragment::default(), true).unwrap();
    assert_eq!((updated.service.as_str(), updated.environment.as_str()), ("auth", "test"));
    assert_eq!(updated.pinned, None, "the newest");
}

#[test]
fn a_changed_policy_is_noted_and_the_tags_that_it_overrides_are_not() {
    let file = format!("{ACME}service = 'mail'\nref = 'fedcba9876'\n");
    let tags = [("bootagent:service", "auth"), ("bootagent:ref", "0123456789")];
    let notes = selected_with(&tags, "test", &file, Fragment::default(), false).unwrap().notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("/etc/bootagent/policy.toml says mail, "), "{notes:?}");
    assert!(notes[1].starts_with("/etc/bootagent/policy.toml says fedcba9876, "), "{notes:?}");
}

#[test]
fn a_hostile_tag_is_quoted_escaped_and_short() {
    let hostile = format!("\u{1b}[31m\n{}", "x".repeat(256));
    let notes = selected_with(&[("bootagent:ref", &hostile)], "test", ACME, Fragment::default(), false)
        .unwrap()
        .notes;
    assert!(notes.len() == 1 && notes[0].len() < 200 && !notes[0].contains('\u{1b}'), "{notes:?}");
}

#[test]
fn an_unsupported_scheme_is_refused_in_files_and_flags() {
    for bad in ["ftp://git.example/a", "file:///srv/a", "git://git.example/a"] {
        let errors = [
            layered("", flags(Some(bad), None)).unwrap_err(),
            layered(&format!("repository = '{bad}'\n"), Fragment::default()).unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.code() == Code::RepositoryInvalid), "{errors:?}");
    }
    assert!(layered("", flags(Some("HTTPS://git.example/a"), None)).is_ok());
}

#[test]
fn forgotten_flags_are_recorded_as_no_flags() {
    let path = Path::new("/r.toml");
    let forgotten = layered(ACME, Fragment::default()).unwrap().recorded(path, "").unwrap();
    let text = forgotten.recordable().unwrap().unwrap();
    assert_eq!(parse("/r.toml", &text).unwrap(), Fragment::default());
    assert!(matches!(forgotten.repository().unwrap().origin, Origin::File(_)));
}

#[test]
fn an_error_names_the_recorded_flag_that_caused_it() {
    let path = Path::new("/r.toml");
    let recorded = "repository = 'https://r'\nservice = 'Wrong'\n";
    let policy = layered(ACME, Fragment::default()).unwrap().recorded(path, recorded).unwrap();
    let error = select(&Facts::default(), &policy, None, false).unwrap_err();
    assert!(error.to_string().contains("flag of an earlier run, recorded in /r.toml"), "{error}");
    assert!(error.to_string().contains("--forget-flags"), "{error}");

    let mut origins = Origins::default();
    origins.note("repository", &policy.repository().unwrap());
    origins.note("secret", &policy.secret());
    let explained = |code, names: &[&str]| {
        let error = origins.explain(Error::new(code, "fetching", "404"), names).to_string();
        (error.contains("404: repository is a flag of an earlier run"), error.contains("--forget-flags"))
    };
    assert_eq!(explained(Code::GitNotFound, &["repository", "secret"]), (true, true));
    assert_eq!(explained(Code::SecretMissing, &["secret"]), (false, false));
    assert_eq!(explained(Code::GitUnreachable, &["repository"]), (false, false), "temporary");
    let unreadable = layered(ACME, Fragment::default()).unwrap().recorded(path, "repositry = 1").unwrap_err();
    assert!(unreadable.to_string().contains("--forget-flags"), "{unreadable}");
}

#[test]
fn every_list_and_table_has_a_documented_limit() {
    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let list = |count: usize, entry: &dyn Fn(usize) -> String| {
        (0..count).map(|number| format!("\"{}\"", entry(number))).collect::<Vec<_>>().join(", ")
    };
    let lines = |count: usize, line: &dyn Fn(usize) -> String| {
        (0..count).map(|number| line(number) + "\n").collect::<String>()
    };
    let archive = |number| format!("\"node-v22.{number}.0-linux-x64.tar.gz\" = \"{}\"", "0".repeat(64));
    let key = |number| format!("h{number}.test ssh-ed25519 {KEY}");
    type Limit<'a> = (&'a str, usize, &'a dyn Fn(usize) -> String);
    let limits: &[Limit<'_>] = &[
        ("services", 1000, &|count| format!("services = [{}]", list(count, &|number| format!("s-{number}")))),
        ("environments", 100, &|count| {
            format!("[environments]\n{}", lines(count, &|number| format!("e-{number} = \"main\"")))
        }),
        ("git.host_keys", 100, &|count| format!("git.host_keys = [{}]", list(count, &key))),
        ("network.no_proxy", 100, &|count| {
            format!("network.no_proxy = [{}]", list(count, &|number| format!("h{number}.test")))
        }),
        ("node.checksums", 1000, &|count| format!("[node.checksums]\n{}", lines(count, &archive))),
    ];
    let reference = include_str!("../../../docs/reference/policy.md").replace('\n', " ");
    for (key, most, text) in limits {
        let read = |count| parse("policy.toml", &text(count)).and_then(|policy| policy.check("policy.toml"));
        read(*most).unwrap_or_else(|error| panic!("{key}: {error}"));
        let error = read(most + 1).unwrap_err();
        assert_eq!(error.code(), Code::PolicyInvalid);
        let says = format!("{key} has {} entries; the limit is {most}", most + 1);
        assert!(error.to_string().contains(&says), "{error}");
        assert!(reference.contains(&format!("`{key}` {most}")), "the reference does not have {key}: {most}");
    }
    let error = parse("policy.toml", &"#".repeat(262_145)).unwrap_err().to_string();
    assert!(error.contains("262145 bytes; the limit is 262144"), "{error}");
}
