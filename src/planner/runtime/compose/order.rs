//! The order of the containers: none needs itself, those that end come first, and all together end in time. Pure.

use std::collections::BTreeMap;

use super::project::{Condition, Health, Member, Need, longest_stop};
use super::reader::Reader;
use crate::error::Result;
use crate::secret::excerpt;

/// Seconds that all containers have to end, one after the other: bootagent waits little longer for a unit.
const LONGEST_STOP: u64 = 80;

/// The names of the containers, each after those that it needs.
pub fn sorted(reader: &Reader, members: &BTreeMap<String, Member>) -> Result<Vec<String>> {
    let mut sorted: Vec<String> = Vec::new();
    loop {
        let is_next = |(name, member): &(&String, &Member)| {
            !sorted.contains(name) && member.needs.keys().all(|needed| sorted.contains(needed))
        };
        let next: Vec<String> = members.iter().filter(is_next).map(|(name, _)| name.clone()).collect();
        if next.is_empty() {
            break;
        }
        sorted.extend(next);
    }
    match members.keys().find(|name| !sorted.contains(name)) {
        Some(name) => {
            Err(reader.invalid(&format!("services.{name}.depends_on"), "needs itself, through others"))
        }
        None => Ok(sorted),
    }
}

/// Leaves out what a container need not have; fails if it needs one that is not there, or cannot become healthy.
pub fn settle(reader: &Reader, members: &mut BTreeMap<String, Member>) -> Result<()> {
    let is_disabled = |member: &Member| member.health == Some(Health::Disabled);
    let without: BTreeMap<String, bool> =
        members.iter().map(|(name, member)| (name.clone(), is_disabled(member))).collect();
    for (name, member) in members.iter_mut() {
        member.needs.retain(|needed, need| need.is_required || without.contains_key(needed));
        for (needed, need) in &member.needs {
            let path = format!("services.{name}.depends_on");
            match without.get(needed) {
                None => {
                    let why = format!("names {}, which is not among the containers", excerpt(needed));
                    return Err(reader.invalid(&path, &why));
                }
                Some(true) if need.condition == Condition::Healthy => {
                    let why = format!("waits until {needed} is healthy, and its healthcheck is disabled");
                    return Err(reader.invalid(&path, &why));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// The containers that another one wants to have ended, in the order in which they run: before all others. What needs one of
/// them needs what that one needs, instead.
pub fn once(members: &mut BTreeMap<String, Member>, sorted: &[String]) -> Vec<String> {
    let needs = members.values().flat_map(|member| &member.needs);
    let ended = needs.filter(|(_, need)| need.condition == Condition::Completed);
    let ended: Vec<String> = ended.map(|(name, _)| name.clone()).collect();
    let mut settled: BTreeMap<String, BTreeMap<String, Need>> = BTreeMap::new();
    for name in sorted {
        let Some(member) = members.get_mut(name) else { continue };
        for name in ended.iter().filter(|name| member.needs.remove(*name).is_some()).collect::<Vec<_>>() {
            for (further, need) in settled.get(name).into_iter().flatten() {
                member.needs.entry(further.clone()).or_insert(*need);
            }
        }
        settled.insert(name.clone(), member.needs.clone());
    }
    sorted.iter().filter(|name| ended.contains(name)).cloned().collect()
}

/// Gives each container so many seconds to end that all of them end in time.
pub fn bound_stop(reader: &Reader, members: &mut BTreeMap<String, Member>) {
    let fits = |most: &u64| longest_stop(members, *most) <= LONGEST_STOP;
    let most = (1..=LONGEST_STOP).rev().find(fits).unwrap_or(1);
    let mut is_lowered = false;
    for member in members.values_mut().filter(|member| member.grace > most) {
        member.grace = most;
        is_lowered = true;
    }
    if is_lowered {
        reader.note(format!(
            "each container has at most {most} s to end (stop_grace_period): all of them have {LONGEST_STOP} s, one after the other"
        ));
    }
}
