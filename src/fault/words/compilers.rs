//! Messages of a build from source that lacks a compiler or a library's headers. The OS packages that contain them have
//! Debian's names.

use super::{Complaint, Fault};
use crate::secret::{ForeignText, Message};

/// Words of a message, what is missing, and the OS package that contains it; the most specific messages first.
const MISSING: &[(&str, &str, &str)] = &[
    ("pg_config executable not found", "pg_config", "libpq-dev"),
    ("libpq-fe.h: No such file", "libpq-fe.h", "libpq-dev"),
    ("mysql_config: not found", "mysql_config", "default-libmysqlclient-dev"),
    ("Can not find valid pkg-config name", "the headers of MySQL", "default-libmysqlclient-dev"),
    ("mysql.h: No such file", "mysql.h", "default-libmysqlclient-dev"),
    ("Python.h: No such file", "Python.h", "python3-dev"),
    ("ffi.h: No such file", "ffi.h", "libffi-dev"),
    ("openssl/ssl.h: No such file", "openssl/ssl.h", "libssl-dev"),
    ("openssl/opensslv.h: No such file", "openssl/opensslv.h", "libssl-dev"),
    ("libxml/xmlversion.h: No such file", "the headers of libxml2", "libxml2-dev"),
    (
        "Please make sure the libxml2 and libxslt development packages",
        "the headers of libxml2",
        "libxml2-dev",
    ),
    ("lber.h: No such file", "lber.h", "libldap-dev"),
    ("zlib.h: No such file", "zlib.h", "zlib1g-dev"),
    ("jpeglib.h: No such file", "jpeglib.h", "libjpeg-dev"),
    // Of Pillow.
    ("could not be found for jpeg", "the headers of libjpeg", "libjpeg-dev"),
    ("could not be found for zlib", "the headers of zlib", "zlib1g-dev"),
    ("can't find Rust compiler", "a Rust compiler", "cargo"),
    ("Cargo, the Rust package manager, is not installed", "a Rust compiler", "cargo"),
    ("gcc' failed: No such file or directory", "a C compiler", "gcc"),
    ("gcc\" failed: No such file or directory", "a C compiler", "gcc"),
    ("unable to execute 'gcc'", "a C compiler", "gcc"),
    ("linux-gnu-gcc': No such file", "a C compiler", "gcc"),
    // As newer setuptools say it.
    ("No such file or directory: 'gcc'", "a C compiler", "gcc"),
    ("directory: 'x86_64-linux-gnu-gcc'", "a C compiler", "gcc"),
    ("directory: 'aarch64-linux-gnu-gcc'", "a C compiler", "gcc"),
    ("No such file or directory: 'g++'", "a C++ compiler", "g++"),
    ("directory: 'x86_64-linux-gnu-g++'", "a C++ compiler", "g++"),
    ("directory: 'aarch64-linux-gnu-g++'", "a C++ compiler", "g++"),
    ("Unknown compiler(s)", "a C compiler", "gcc"),
    ("g++' failed: No such file or directory", "a C++ compiler", "g++"),
    ("No CMAKE_C_COMPILER could be found", "a C compiler", "gcc"),
    ("CMake must be installed", "cmake", "cmake"),
];

/// The OS packages that remedies name.
#[cfg(test)]
pub fn known_packages() -> impl Iterator<Item = &'static str> {
    MISSING.iter().map(|(_, _, package)| *package)
}

/// What a build lacks: its name, the OS package that contains it, and the line that says so.
pub(super) fn missing(lines: &[ForeignText]) -> Option<(&'static str, &'static str, &ForeignText)> {
    let (words, what, package) =
        MISSING.iter().find(|(words, ..)| lines.iter().any(|line| line.says(words)))?;
    lines.iter().find(|line| line.says(words)).map(|line| (*what, *package, line))
}

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    let (what, package, line) = missing(lines)?;
    let cause = Message::from(format!("building a package from source needs {what} ({package}): "));
    // Almost every build of a Python package needs Python's own headers, too.
    let mut packages = vec!["gcc", package, "python3-dev"];
    packages.dedup();
    let packages = super::missing::packages(&packages);
    let remedy = format!(
        "use a version of the package that has a wheel for this Python, or add {packages} to bootagent.toml"
    );
    let mut complaint = Complaint::new(Fault::InstallFailed, cause.and(line.trimmed()));
    complaint.remedy = Some(remedy);
    Some(complaint)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn cause_and_remedy_name_what_is_missing_and_its_package() {
        for (said, names) in [
            ("  error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "gcc"),
            ("error: command 'gcc' failed: No such file or directory", "gcc"),
            ("      error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'", "gcc"),
            ("Error: pg_config executable not found.\nerror: command 'gcc' failed", "libpq-dev"),
            ("fatal error: Python.h: No such file or directory", "python3-dev"),
            ("fatal error: ffi.h: No such file or directory", "libffi-dev"),
        ] {
            let (fault, cause, remedy) = read(complaint, said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!(fault, Fault::InstallFailed);
            assert!(cause.contains(names) && remedy.contains(names), "{said}: {cause} {remedy}");
        }
    }

    #[test]
    fn an_error_in_the_source_is_not_a_missing_compiler() {
        for said in
            ["error: command 'gcc' failed with exit status 1", "speedup.c:3:1: error: unknown type name", ""]
        {
            assert!(read(complaint, said).is_none(), "{said}");
        }
    }
}
