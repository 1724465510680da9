//! How a draft differs from the deployment that was last healthy on this instance. Adds no steps.

use sha2::{Digest, Sha256};

use super::draft::{Draft, Wanted};
use super::records::good;
use super::{env, values};
use crate::facts::Generation;
use crate::plan::environment::{FILES, MADE};
use crate::plan::{Compared, Deployment, Rendering};

/// The deployment that the plan's run starts.
pub fn deployment(draft: &Draft) -> Deployment {
    Deployment {
        commit: draft.generation.commit.clone(),
        release: draft.generation.release.clone(),
        digest: digest(&draft.generation, &draft.rendering),
        is: compared(draft),
    }
}

/// The last healthy deployment, if it differs from the wanted one in anything, values included.
pub fn another<'a>(draft: &Draft<'a>) -> Option<&'a Generation> {
    let good = &good(draft.wanted)?.generation;
    (*good != draft.generation || has_other_values(draft.wanted, &draft.rendering)).then_some(good)
}

fn has_other_values(wanted: &Wanted, rendering: &Rendering) -> bool {
    wanted.good_environment.is_some_and(|former| !former.has_same_texts(rendering))
}

/// How the wanted deployment differs from the last healthy one.
fn compared(draft: &Draft) -> Compared {
    let Draft { wanted, generation, rendering, variables, .. } = draft;
    let Some(good) = good(wanted).map(|good| &good.generation) else { return Compared::First };
    let same_code = good.release == generation.release && good.runs_by == generation.runs_by;
    match wanted.good_environment {
        // The health checks are not compared: PORT may be one of the values that differ.
        Some(former) if same_code && !former.has_same_texts(rendering) => Compared::OtherValues {
            secret: values::places(wanted, &env::changed_keys(variables, former.service().expose())),
            keys: env::changed_keys(variables, former.service().expose()),
        },
        _ if good == generation => Compared::Same,
        _ => Compared::Other,
    }
}

/// Identifies a deployment within a boot: SHA-256 of its release's path, unit, environment and files. The length before
/// each part keeps two different lists of parts from having the same bytes.
fn digest(generation: &Generation, rendering: &Rendering) -> String {
    let release = generation.release.display().to_string();
    let files = FILES.iter().map(|file| rendering.text(file).map(|text| text.expose()).unwrap_or_default());
    let made = MADE.iter().filter_map(|file| rendering.text(file).map(|text| text.expose()));
    let mut hash = Sha256::new();
    let supervisor_files = generation.runs_by.files.iter().map(|file| file.text.as_str());
    for part in [release.as_str(), &generation.runs_by.unit]
        .into_iter()
        .chain(files)
        .chain(made)
        .chain(supervisor_files)
    {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
