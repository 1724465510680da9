//! Steps for `imds.users` of the policy: firewall rules that let only root and the named users reach IMDS, so that
//! other users cannot get the role's credentials. They are loaded before the repository is fetched, and removed if
//! the policy no longer has `imds.users`.

use std::path::{Path, PathBuf};

use super::steps::Steps;
use super::{packages, switch};
use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::fault::Phase;
use crate::observe::Selection;
use crate::plan::layout::{self, Layout};
use crate::plan::{Action, ImdsRules};

const UNIT: &str = include_str!("../../units/bootagent-imds.service");
const PLANNING: &str = "planning the rules of imds.users";

/// The last steps of loading or removing the rules. A step that runs code of the repository comes after them.
pub const LAST: [&str; 4] = ["imds-enable", "imds-proof", "imds-service", "imds-reload"];

/// Adds the steps that load the rules, or remove them.
pub fn rules(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    match wanted(facts, selection)? {
        Some(rules) => load(steps, facts, selection, rules),
        None => {
            remove(steps, facts);
            Ok(())
        }
    }
}

/// Loads the rules again after the service's user is created, which on a first boot does not exist before.
pub fn let_service_through(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    if let Some(rules) = wanted(facts, selection)?.filter(|rules| rules.service.is_some()) {
        let why = "the service's user exists now";
        steps
            .add("imds-service", why, Action::LoadImdsRules(rules))
            .after(&["imds-rules", "user"])
            .within(Phase::Start);
    }
    Ok(())
}

fn wanted(facts: &Facts, selection: &Selection) -> Result<Option<ImdsRules>> {
    let Some(users) = &selection.imds_users else { return Ok(None) };
    let layout = Layout::new(&selection.service);
    let invalid = |user: &str, why: &str| {
        let cause = format!("imds.users names {user}, {why}");
        Err(Error::new(Code::PolicyInvalid, PLANNING, cause))
    };
    if !selection.service_may_use_imds && users.iter().any(|user| user == layout.user()) {
        return invalid(layout.user(), "and imds.service = false denies it instance metadata");
    }
    if users.contains(&layout.build_user()) {
        return invalid(&layout.build_user(), "which runs install and build commands");
    }
    // In a switch of services, a failure starts the former service again. The next run leaves its user out.
    let former =
        switch::former(facts, &selection.service).map(|former| Layout::new(former).user().to_owned());
    let former = former.filter(|user| selection.service_may_use_imds && !users.contains(user));
    Ok(Some(ImdsRules {
        users: users.iter().cloned().chain(former).collect(),
        service: selection.service_may_use_imds.then(|| layout.user().to_owned()),
        file: layout::IMDS_RULES_FILE.into(),
        unit: layout::IMDS_RULES_UNIT.to_owned(),
    }))
}

fn load(steps: &mut Steps, facts: &Facts, selection: &Selection, rules: ImdsRules) -> Result<()> {
    let mut ready = vec!["state", "imds-reload"];
    if !facts.nft {
        install_nft(steps, facts, selection)?;
        ready.push("imds-nft");
    }
    let unit = rules.unit.clone();
    let why = "loads the rules at every boot, even if the run fails";
    steps.file("imds-unit", why, layout::imds_rules_unit_file(), UNIT.to_owned(), 0o644);
    steps
        .add("imds-reload", "systemd reads the unit", Action::ReloadUnit { unit })
        .after(&["imds-unit"])
        .within(Phase::Reload);
    let why = "other users could get the role's credentials";
    steps.add("imds-rules", why, Action::LoadImdsRules(rules)).after(&ready).within(Phase::Start);
    let why = "loaded before the network is up and other services start";
    steps
        .link("imds-enable", why, enabled(), Path::new("..").join(layout::IMDS_RULES_UNIT))
        .after(&["imds-rules"]);
    let proof = Action::ProveImdsRules { unit: layout::IMDS_PROOF_UNIT.to_owned() };
    let why = "proves that the loaded rules work";
    steps.add("imds-proof", why, proof).after(&["imds-rules"]).within(Phase::Start);
    Ok(())
}

fn install_nft(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    let refused =
        |cause: &str| Err(Error::new(Code::ImdsRules, PLANNING, format!("there is no nft, and {cause}")));
    if !selection.packages.allowed {
        return refused("packages.allow = false forbids to install it");
    }
    if facts.machine.package_manager().is_none() {
        return refused("bootagent can install it only with apt or dnf");
    }
    let why = "imds.users needs nft";
    packages::add(steps, "imds-nft", why, &["nftables".to_owned()], facts, selection);
    Ok(())
}

/// Adds the steps that remove the rules, if the machine has any.
fn remove(steps: &mut Steps, facts: &Facts) {
    if !facts.imds_rules {
        return;
    }
    let unit = layout::IMDS_RULES_UNIT.to_owned();
    // The unit file is removed last: while it exists, a run after a killed one removes the rest.
    let scratch = vec![
        enabled(),
        layout::IMDS_RULES_FILE.into(),
        layout::IMDS_RULES_LOADED.into(),
        layout::imds_rules_unit_file(),
    ];
    let why = "the policy no longer has imds.users";
    steps
        .add("imds-down", why, Action::StopUnit { unit: unit.clone(), scratch })
        .after(&["remove-leftovers"])
        .within(Phase::Tidy);
    steps
        .add("imds-reload", "systemd forgets the unit", Action::ReloadUnit { unit })
        .after(&["imds-down"])
        .within(Phase::Reload);
}

fn enabled() -> PathBuf {
    Path::new("/etc/systemd/system/sysinit.target.wants").join(layout::IMDS_RULES_UNIT)
}
