//! The wall around instance metadata, if the policy asks for one: only root and named users reach it. It is up
//! before the source is fetched, and down again when the policy asks for it no longer.

use std::path::{Path, PathBuf};

use super::steps::Steps;
use super::{packages, switch};
use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::fault::Slice;
use crate::observe::Selection;
use crate::plan::layout::{self, Layout};
use crate::plan::{Action, ImdsWall};

const UNIT: &str = include_str!("../../units/bootagent-imds.service");
const PLANNING: &str = "planning the wall of imds.users";

/// The last steps of those that raise it or take it down.
pub const LAST: [&str; 4] = ["imds-enable", "imds-proof", "imds-service", "imds-reload"];

pub fn wall(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    match wanted(facts, selection)? {
        Some(wall) => raise(steps, facts, selection, wall),
        None => {
            take_down(steps, facts);
            Ok(())
        }
    }
}

/// Once more when the service's user exists: on a first boot it does not before.
pub fn let_service_through(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    if let Some(wall) = wanted(facts, selection)?.filter(|wall| wall.service.is_some()) {
        let why = "the service's user exists now";
        steps
            .add("imds-service", why, Action::RaiseImdsWall(wall))
            .after(&["imds-wall", "user"])
            .within(Slice::Start);
    }
    Ok(())
}

fn wanted(facts: &Facts, selection: &Selection) -> Result<Option<ImdsWall>> {
    let Some(users) = &selection.imds_users else { return Ok(None) };
    let layout = Layout::new(&selection.service);
    let invalid = |user: &str, why: &str| {
        let cause = format!("imds.users names {user}, {why}");
        Err(Error::new(Code::PolicyInvalid, PLANNING, cause))
    };
    if !selection.service_may_use_imds && users.iter().any(|user| user == layout.user()) {
        return invalid(layout.user(), "to which imds.service = false denies instance metadata");
    }
    if users.contains(&layout.build_user()) {
        return invalid(&layout.build_user(), "which runs install and build commands");
    }
    // In a switch the former service may have to come back: it goes out with the next run.
    let former =
        switch::former(facts, &selection.service).map(|former| Layout::new(former).user().to_owned());
    let former = former.filter(|user| selection.service_may_use_imds && !users.contains(user));
    Ok(Some(ImdsWall {
        users: users.iter().cloned().chain(former).collect(),
        service: selection.service_may_use_imds.then(|| layout.user().to_owned()),
        rules: layout::IMDS_WALL_RULES.into(),
        unit: layout::IMDS_WALL_UNIT.to_owned(),
    }))
}

fn raise(steps: &mut Steps, facts: &Facts, selection: &Selection, wall: ImdsWall) -> Result<()> {
    let mut ready = vec!["state", "imds-reload"];
    if !facts.nft {
        install_nft(steps, facts, selection)?;
        ready.push("imds-nft");
    }
    let unit = wall.unit.clone();
    let why = "loads the rules at every boot, even if the run fails";
    steps.file("imds-unit", why, layout::imds_wall_unit_file(), UNIT.to_owned(), 0o644);
    steps
        .add("imds-reload", "systemd reads the unit", Action::ReloadUnit { unit })
        .after(&["imds-unit"])
        .within(Slice::Reload);
    let why = "other users could get the role's credentials";
    steps.add("imds-wall", why, Action::RaiseImdsWall(wall)).after(&ready).within(Slice::Start);
    let why = "loaded before the network is up and other services start";
    steps
        .link("imds-enable", why, enabled(), Path::new("..").join(layout::IMDS_WALL_UNIT))
        .after(&["imds-wall"]);
    let proof = Action::ProveImdsWall { unit: layout::IMDS_WALL_PROOF_UNIT.to_owned() };
    let why = "proves that the loaded rules work";
    steps.add("imds-proof", why, proof).after(&["imds-wall"]).within(Slice::Start);
    Ok(())
}

fn install_nft(steps: &mut Steps, facts: &Facts, selection: &Selection) -> Result<()> {
    let refused =
        |cause: &str| Err(Error::new(Code::ImdsWall, PLANNING, format!("there is no nft, and {cause}")));
    if !selection.packages.allowed {
        return refused("packages.allow = false forbids to install it");
    }
    if !facts.machine.has_apt() {
        return refused("bootagent can install it only with apt");
    }
    let why = "the wall of imds.users needs nft";
    packages::add(steps, "imds-nft", why, vec!["nftables".to_owned()], selection);
    Ok(())
}

/// Nothing on a machine that has none.
fn take_down(steps: &mut Steps, facts: &Facts) {
    if !facts.imds_wall {
        return;
    }
    let unit = layout::IMDS_WALL_UNIT.to_owned();
    // The unit file is the last one: while it is there, a later run goes on with this.
    let scratch = vec![
        enabled(),
        layout::IMDS_WALL_RULES.into(),
        layout::IMDS_WALL_LOADED.into(),
        layout::imds_wall_unit_file(),
    ];
    let why = "the policy no longer asks for the wall around instance metadata";
    steps
        .add("imds-down", why, Action::StopUnit { unit: unit.clone(), scratch })
        .after(&["leftovers"])
        .within(Slice::Tidy);
    steps
        .add("imds-reload", "systemd forgets the unit", Action::ReloadUnit { unit })
        .after(&["imds-down"])
        .within(Slice::Reload);
}

fn enabled() -> PathBuf {
    Path::new("/etc/systemd/system/sysinit.target.wants").join(layout::IMDS_WALL_UNIT)
}
