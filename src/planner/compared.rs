//! What a draft is to the deployment that passed last on this instance: the same, the same with other values, or another.

use sha2::{Digest, Sha256};

use super::draft::{Draft, Wanted};
use super::env;
use super::records::good;
use crate::facts::Generation;
use crate::plan::environment::FILES;
use crate::plan::{Compared, Deployment, Rendering};

/// What a run of this plan is about to start.
pub fn deployment(draft: &Draft) -> Deployment {
    Deployment {
        commit: draft.generation.commit.clone(),
        release: draft.generation.release.clone(),
        digest: digest(&draft.generation, &draft.rendering),
        is: compared(draft),
    }
}

/// The last good generation, if it is another than the wanted one: another release, or other values.
pub fn another<'a>(draft: &Draft<'a>) -> Option<&'a Generation> {
    let good = &good(draft.wanted)?.generation;
    (*good != draft.generation || has_other_values(draft.wanted, &draft.rendering)).then_some(good)
}

fn has_other_values(wanted: &Wanted, rendering: &Rendering) -> bool {
    wanted.good_environment.is_some_and(|former| !former.says_the_same(rendering))
}

/// What the wanted deployment is to the one that passed last.
fn compared(draft: &Draft) -> Compared {
    let Draft { wanted, generation, rendering, variables, .. } = draft;
    let Some(good) = good(wanted).map(|good| &good.generation) else { return Compared::First };
    let same_code = good.release == generation.release && good.runs_by == generation.runs_by;
    match wanted.good_environment {
        // The port may be one of the values, and with it the health check's.
        Some(former) if same_code && !former.says_the_same(rendering) => Compared::OtherValues {
            keys: env::changed_keys(variables, former.service().expose()),
            secret: wanted.selection.secret.clone(),
        },
        _ if good == generation => Compared::Same,
        _ => Compared::Other,
    }
}

/// By what a deployment is known again within a boot: the bytes that it is started from.
fn digest(generation: &Generation, rendering: &Rendering) -> String {
    let release = generation.release.display().to_string();
    let files = FILES.iter().map(|file| rendering.text(file).map(|text| text.expose()).unwrap_or_default());
    let mut hash = Sha256::new();
    let own = generation.runs_by.files.iter().map(|file| file.text.as_str());
    for part in [release.as_str(), &generation.runs_by.unit].into_iter().chain(files).chain(own) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
