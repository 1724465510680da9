//! Errors as pnpm 9 and 10 print them, shortened.

use super::super::read;
use super::*;

#[test]
fn every_complaint_has_its_fault() {
    for (said, wanted, names) in [
        (
            " ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with \"frozen-lockfile\" because pnpm-lock.yaml is not up to date with <ROOT>/package.json\n\n\
             Note that in CI environments this setting is true by default.\n\n  Failure reason:\n  \
             specifiers in the lockfile don't match specifiers in package.json:\n* 1 dependencies were added: left-pad@^1.3.0\n",
            Fault::LockfileStale,
            "1 dependencies were added: left-pad@^1.3.0",
        ),
        (
            " ERR_PNPM_NO_LOCKFILE  Cannot install with \"frozen-lockfile\" because pnpm-lock.yaml is absent",
            Fault::LockfileStale,
            "absent",
        ),
        (
            " ERR_PNPM_UNSUPPORTED_ENGINE  Unsupported environment (bad pnpm and/or Node.js version)\n\n\
             Your Node version is incompatible with \"/opt/x\".\n\nExpected version: >=99\nGot: v22.20.0\n",
            Fault::EngineUnfit,
            "Expected version: >=99 Got: v22.20.0",
        ),
        (
            " ERR_PNPM_FETCH_404  GET https://registry.test/xyz: Not Found - 404",
            Fault::PackageMissing,
            "registry.test/xyz",
        ),
        (
            " ERR_PNPM_NO_MATCHING_VERSION  No matching version found for left-pad@99.0.0 while fetching it from https://registry.test/",
            Fault::PackageMissing,
            "left-pad@99.0.0",
        ),
        (
            " ERR_PNPM_META_FETCH_FAIL  GET https://registry.test/left-pad: request to https://registry.test/left-pad failed, reason: connect ECONNREFUSED 127.0.0.1:9",
            Fault::RegistryUnreachable,
            "ECONNREFUSED",
        ),
        (
            " ERR_PNPM_META_FETCH_FAIL  GET https://registry.test/left-pad: request failed, reason: SELF_SIGNED_CERT_IN_CHAIN",
            Fault::RegistryUntrusted,
            "SELF_SIGNED",
        ),
        (
            " ERR_PNPM_TARBALL_INTEGRITY  Got unexpected checksum for \"https://registry.test/left-pad.tgz\".",
            Fault::PackageAltered,
            "left-pad.tgz",
        ),
        (
            " ERR_PNPM_FETCH_503  GET https://registry.test/x: Service Unavailable - 503",
            Fault::RegistryUnreachable,
            "503",
        ),
    ] {
        let (fault, cause, _) = read(complaint, said).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(fault, wanted, "{said}");
        assert!(cause.contains(names), "{said}: {cause}");
    }
}

#[test]
fn a_script_that_fails_below_pnpm_is_not_a_fault_of_pnpm() {
    for said in [
        ". postinstall: sh: 1: husky: not found\n ELIFECYCLE  Command failed with exit code 1.",
        " ERR_PNPM_RECURSIVE_RUN_FIRST_FAIL  web@1.0.0 build: `tsc`\nExit status 2",
        "the docs say: ERR_PNPM_OUTDATED_LOCKFILE",
        "",
    ] {
        assert!(read(complaint, said).is_none(), "{said}");
    }
}
