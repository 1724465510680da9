//! The step that makes a static site of a release. Adds steps only; what a site is says `runtime/site.rs`.

use super::Wanted;
use super::draft::Draft;
use super::steps::Steps;
use crate::fault::Phase;
use crate::plan::{Action, PublishSite, layout};
use crate::secret::Confidential;

/// Adds the step that finds the built pages, and looks for values of the secret in them.
pub fn publish(steps: &mut Steps, draft: &Draft) {
    let Some(site) = draft.recipe.site() else { return };
    let release = draft.release().to_owned();
    let action = Action::PublishSite(PublishSite {
        link: layout::site(&release),
        release,
        roots: site.roots.clone(),
        confidential: confidential(draft),
    });
    let built = steps.built();
    let why = "everyone can read it: it must be there, and no secret in it";
    steps.add("site", why, action).after(&[&built]).within(Phase::Tidy);
    steps.finished_by("site");
}

/// The secret's values, without those that the manifest has as public ones.
fn confidential(draft: &Draft) -> Confidential {
    let public = &draft.wanted.manifest.env.values;
    let is_public = |value: &str| public.values().any(|known| known.trim() == value.trim());
    Confidential::new(draft.confidential.iter().filter(|(_, value)| !is_public(value.expose())))
}

/// Names that front ends' builds read.
const BUILT_IN: &[&str] = &[
    "VITE_",
    "REACT_APP_",
    "NEXT_PUBLIC_",
    "PUBLIC_",
    "VUE_APP_",
    "GATSBY_",
    "NUXT_PUBLIC_",
    "EXPO_PUBLIC_",
    "NG_APP_",
];

/// A note that the build does not see variables of the secret whose names say that it reads them.
pub fn not_built_in(wanted: &Wanted) -> Option<String> {
    let secret = wanted.secret.into_iter().flat_map(|secret| secret.iter()).map(|(name, _)| name);
    let names: Vec<&str> = secret
        .filter(|name| BUILT_IN.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !wanted.manifest.env.values.contains_key(*name))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "the build does not see {} of the secret: what it puts into pages is public, and belongs in env.values of \
             bootagent.toml",
            names.join(", ")
        )
    })
}
