//! Writes the bundle of a commit to the fleet memory, from the objects that the run has fetched.

use crate::error::Result;
use crate::fault::Phase;
use crate::machine::aws::Imds;
use crate::machine::aws::s3::{Access, Put};
use crate::machine::aws::transfer;
use crate::machine::disk::staging::Staging;
use crate::machine::git::bundle::Packed;
use crate::machine::git::parent::{PACKED, pack};
use crate::machine::git::request::Limits;
use crate::machine::{Change, Context, SecretPatience};
use crate::plan::PutBundle;

/// Nothing is fetched by a run that finds its release complete; then there is nothing to write.
pub async fn put(imds: &Imds, put: &PutBundle, context: &Context<'_>) -> Result<Change> {
    let Some(scratch) = context.scratch else { return Ok(Change::Unchanged) };
    let patience = SecretPatience { time: Phase::FleetWrite.seconds(), waits_for_permission: false };
    let access = Access { region: put.access.region.as_deref(), network: &put.access.network, patience };
    if transfer::exists(imds, &put.at, access).await? {
        return Ok(Change::Unchanged);
    }
    let staging = Staging::new(true, &put.unit)?;
    staging.open_to_a_child()?;
    let of = (&put.commit, &put.branch);
    if pack(&put.unit, &scratch.repository, of, staging.path()).await? == Packed::NotAlone {
        return Ok(Change::Unchanged);
    }
    let (path, most) = (staging.path().join(PACKED), Limits::default().pack_bytes);
    Ok(match transfer::upload(imds, &put.at, &path, most, access).await? {
        Put::Written(_) => Change::Changed("written".to_owned()),
        Put::Refused => Change::Unchanged,
    })
}
