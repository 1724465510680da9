use super::*;

fn layered(file: &str, flags: Fragment) -> Result<Policy> {
    let mut policy = Policy { layers: vec![("default".to_owned(), defaults())], until: None };
    policy.push(POLICY, parse(POLICY, file)?)?;
    policy.push("flag", flags)?;
    Ok(policy)
}

#[test]
fn later_layers_win_and_are_named() {
    let flags = Fragment { repository: Some("https://b".into()), ..Fragment::default() };
    let policy = layered("repository = 'https://a'\nbudget = '5m'\n", flags).unwrap();
    assert_eq!(policy.repository().unwrap(), Said { value: "https://b".into(), origin: "flag".into() });
    assert_eq!(policy.budget(), Said { value: Seconds(300), origin: POLICY.into() });
    assert_eq!(policy.secret().origin, "default");
}

#[test]
fn recorded_flags_stand_between_file_and_flags() {
    let policy = layered("repository = 'https://a'\n", Fragment::default()).unwrap();
    let policy = policy.recorded(Path::new("/r.toml"), "repository = 'https://r'\n").unwrap();
    assert_eq!(policy.repository().unwrap().origin, "/r.toml");
    let flags = Fragment { repository: Some("https://f".into()), ..Fragment::default() };
    let policy =
        layered("", flags).unwrap().recorded(Path::new("/r.toml"), "repository = 'https://r'").unwrap();
    assert_eq!(policy.repository().unwrap().origin, "flag");
}

#[test]
fn what_is_recorded_is_all_flags_so_far_and_not_the_file() {
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
fn a_mistake_is_told_with_its_line() {
    for (text, says) in [
        ("repository = 'x'\nrepostory = 'y'\n", "policy.toml:2"),
        ("[environments]\n'Prod!' = 'main'\n", "Prod!"),
        ("[environments]\nprod = '../main'\n", "../main"),
        ("services = ['Root']\n", "Root"),
        ("budget = '2h'\n", "one hour"),
        ("budget = 'soon'\n", "policy.toml:1"),
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
    assert_eq!(policy.mirrors().npm.unwrap().as_str(), "https://n");
    let said: Vec<String> = policy
        .network_settings()
        .iter()
        .map(|setting| format!("{} {} {}", setting.name, setting.value, setting.origin))
        .collect();
    assert_eq!(
        said,
        [
            "network.proxy http://q:2 /r.toml".to_owned(),
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
