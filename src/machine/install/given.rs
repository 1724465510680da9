//! Gives paths of a release to the service's user, after the build. No symbolic link is followed: the build could have put one there.

use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::SFlag;
use nix::unistd::{User, fchown, fchownat};

use crate::error::{Code, Coded, Error, Result};
use crate::machine::disk::give::give;
use crate::machine::disk::path_at::{Place, kind, make_directory};
use crate::machine::process::users;
use crate::plan::GiveToService;

/// Of a directory that neither the repository nor the build has.
const MODE: u32 = 0o750;

pub fn to_service(wanted: &GiveToService) -> Result<()> {
    let (from, to) = (users::named(&wanted.from)?, users::named(&wanted.to)?);
    wanted.paths.iter().try_for_each(|path| one(path, &from, &to))
}

fn doing(path: &Path) -> String {
    format!("making {} writable for the service", path.display())
}

fn one(path: &Path, from: &User, to: &User) -> Result<()> {
    let refused = |cause: String| {
        Err(Error::new(Code::ManifestInvalid, doing(path), cause).remedy(
            "name another path in writable, or change what the build leaves there; then: bootagent update",
        ))
    };
    let place = match Place::open(path, true) {
        Err(Errno::ELOOP | Errno::ENOTDIR) => {
            return refused("a symbolic link or a file is on the way to it".to_owned());
        }
        place => place.doing(|| doing(path))?,
    };
    let Some(stat) = place.stat().doing(|| doing(path))? else {
        return make_directory(&place.directory, &place.name, to.uid, to.gid, MODE).doing(|| doing(path));
    };
    match kind(&stat) {
        SFlag::S_IFDIR => {
            let directory = place.open_directory().doing(|| doing(path))?;
            if let Err(error) = give(&directory, from.uid.as_raw(), to.uid, to.gid) {
                return refused(format!("{error:#}"));
            }
            fchown(&directory, Some(to.uid), Some(to.gid)).doing(|| doing(path))
        }
        SFlag::S_IFREG if stat.st_nlink == 1 => {
            let name = place.name.as_os_str();
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
            fchownat(&place.directory, name, Some(to.uid), Some(to.gid), flags).doing(|| doing(path))
        }
        SFlag::S_IFREG => refused("the file has more than one hard link".to_owned()),
        _ => refused("it is neither a directory nor a file".to_owned()),
    }
}
