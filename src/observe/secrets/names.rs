//! Which texts are variable names, and which variables a secret or manifest may not set.
//!
//! The refused names are those of sudo's `env_delete`, those that glibc ignores in setuid programs, and those that
//! redirect tools which services often start (git, npm, the AWS SDK). With them, the owner of a secret could run code.
//! A pattern refuses a whole family only where all of its names do such a thing: `LD_SDK_KEY`, `LISTEN_PORT` and
//! `GIT_SHA` are names that services read.

use std::collections::BTreeSet;

/// `[A-Za-z_][A-Za-z0-9_]{0,127}`
pub fn is_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Why a text in the place of a name is not one, or may not be shown as one.
pub fn no_name(name: &str) -> Option<&'static str> {
    if !is_name(name) {
        return Some("is not a variable name (letters, digits and _, not a digit first, up to 128)");
    }
    name.split('_').any(is_token).then_some("looks like a value, not like a variable's name")
}

/// Whether a word looks like a token: messages show names, and must not show a token in the place of a name.
/// `oauth2ClientSecret` is a name.
fn is_token(word: &str) -> bool {
    let numbers = word.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).count();
    word.len() > 64 || (word.len() >= 20 && numbers >= 3)
}

/// Why a name is refused, and whether a manifest may allow it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    pub why: &'static str,
    pub allowable: bool,
}

/// Why a secret may not set this variable; `None` if it may. `allow` is the manifest's `env.allow`.
pub fn refused(name: &str, allow: &BTreeSet<String>) -> Option<&'static str> {
    refusal(name).filter(|refusal| !refusal.allowable || !allow.contains(name)).map(|refusal| refusal.why)
}

/// Why this name is refused, regardless of what a manifest allows; `None` if it is not refused.
pub fn refusal(name: &str) -> Option<Refusal> {
    // npm reads its variables in upper and lower case.
    let upper = name.to_ascii_uppercase();
    let find = |list: &[(&[&str], &'static str)]| {
        list.iter().find(|(names, _)| names.iter().any(|pattern| fits(pattern, &upper))).map(|(_, why)| *why)
    };
    let never = find(NEVER).map(|why| Refusal { why, allowable: false });
    never.or_else(|| find(UNLESS_ALLOWED).map(|why| Refusal { why, allowable: true }))
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// Names that change which code or files programs load before they run, in any language. No manifest can allow them.
const NEVER: &[(&[&str], &str)] = &[
    // All that ld.so(8) reads. Other names with `LD_` mean nothing to it.
    (
        &[
            "LD_ASSUME_KERNEL",
            "LD_AUDIT",
            "LD_BIND_NOT",
            "LD_BIND_NOW",
            "LD_DEBUG",
            "LD_DEBUG_OUTPUT",
            "LD_DYNAMIC_WEAK",
            "LD_HWCAP_MASK",
            "LD_LIBRARY_PATH",
            "LD_ORIGIN_PATH",
            "LD_POINTER_GUARD",
            "LD_PREFER_MAP_32BIT_EXEC",
            "LD_PRELOAD",
            "LD_PROFILE",
            "LD_PROFILE_OUTPUT",
            "LD_SHOW_AUXV",
            "LD_TRACE_LOADED_OBJECTS",
            "LD_TRACE_PRELINKING",
            "LD_USE_LOAD_BIAS",
            "LD_VERBOSE",
            "LD_WARN",
        ],
        "it makes the dynamic loader load other code",
    ),
    // The same of other loaders, for an emulator or a compatibility layer.
    (
        &[
            "LD_AOUT_LIBRARY_PATH",
            "LD_AOUT_PRELOAD",
            "_RLD*",
            "DYLD_*",
            "LDR_CNTRL",
            "LDR_PRELOAD",
            "LDR_PRELOAD64",
            "LIBPATH",
            "SHLIB_PATH",
        ],
        "it makes the dynamic loader load other code",
    ),
    (
        &[
            "GLIBC_TUNABLES",
            "GCONV_PATH",
            "GETCONF_DIR",
            "LOCPATH",
            "NLSPATH",
            "PATH_LOCALE",
            // It names a file to write. The other `MALLOC_` names are numbers.
            "MALLOC_TRACE",
            "TZDIR",
        ],
        "it makes the C library use other files",
    ),
    (
        &["HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "RESOLV_*", "NIS_PATH", "KRB5*"],
        "it changes how names and identities are resolved",
    ),
    (
        &[
            "BASH_ENV",
            "BASH_FUNC_*",
            "BASHOPTS",
            "CDPATH",
            "FPATH",
            "GLOBIGNORE",
            "IFS",
            "NULLCMD",
            "PROMPT_COMMAND",
            "PS4",
            "READNULLCMD",
            "SHELLOPTS",
            "TMPPREFIX",
            "ZDOTDIR",
        ],
        "it makes shells run or read something else",
    ),
    (&["PATH"], "it decides which programs run"),
    (
        &["HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD"],
        "it describes the service's user; systemd sets it",
    ),
    (
        &[
            "CREDENTIALS_DIRECTORY",
            "INVOCATION_ID",
            "JOURNAL_STREAM",
            "LISTEN_FDNAMES",
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_PIDFDID",
            "MAINPID",
            "NOTIFY_SOCKET",
            "SYSTEMD_*",
            "WATCHDOG_PID",
            "WATCHDOG_USEC",
        ],
        "systemd sets it for the service",
    ),
    (&["OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES"], "it makes OpenSSL load other code"),
    (&["TERMCAP", "TERMINFO*", "TERMPATH"], "it makes terminal programs read other files"),
];

/// Names that a service may need; its manifest must allow each.
const UNLESS_ALLOWED: &[(&[&str], &str)] = &[
    (
        &[
            "NODE_EXTRA_CA_CERTS",
            "NODE_ICU_DATA",
            "NODE_OPTIONS",
            "NODE_PATH",
            "NODE_REPL_EXTERNAL_MODULE",
            "NODE_TLS_REJECT_UNAUTHORIZED",
            "NODE_V8_COVERAGE",
        ],
        "it changes what node loads or trusts",
    ),
    (&["PYTHON*"], "it changes what python loads"),
    (&["PERL*", "RUBYLIB", "RUBYOPT"], "it changes what the interpreter loads"),
    (&["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"], "it changes what java loads"),
    (&["NPM_CONFIG_*"], "it changes what npm installs and runs"),
    (
        &[
            "GIT_ALLOW_PROTOCOL",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_ASKPASS",
            "GIT_ATTR_*",
            "GIT_COMMON_DIR",
            "GIT_CONFIG*",
            "GIT_DIR",
            "GIT_EDITOR",
            "GIT_EXEC_PATH",
            "GIT_EXTERNAL_DIFF",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_PAGER",
            "GIT_PROTOCOL_FROM_USER",
            "GIT_PROXY_*",
            "GIT_SEQUENCE_EDITOR",
            "GIT_SSH",
            "GIT_SSH_COMMAND",
            "GIT_SSH_VARIANT",
            "GIT_SSL_*",
            "GIT_TEMPLATE_DIR",
            "GIT_TRACE*",
            "GIT_WORK_TREE",
        ],
        "it changes what git runs or reads",
    ),
    (
        &[
            "AWS_CA_BUNDLE",
            "AWS_CONFIG_FILE",
            "AWS_CONTAINER_*",
            "AWS_EC2_METADATA_*",
            "AWS_ENDPOINT_URL*",
            "AWS_SHARED_CREDENTIALS_FILE",
        ],
        "it redirects AWS calls or credentials",
    ),
    (&["SSL_CERT_DIR", "SSL_CERT_FILE"], "it changes which certificates are trusted"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        for good in ["A", "_", "a1", "DATABASE_URL", "__proto__", &"x".repeat(128)] {
            assert!(is_name(good), "{good} was refused");
        }
        for bad in ["", "1A", "A-B", "A.B", "A B", "A=", "A\n", "é", "A\0", &"x".repeat(129)] {
            assert!(!is_name(bad), "{bad:?} was accepted");
        }
    }

    #[test]
    fn names_that_change_how_programs_load_can_never_be_allowed() {
        let never = [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "LD_AUDIT",
            "ld_preload",
            "DYLD_INSERT_LIBRARIES",
            "PATH",
            "BASH_ENV",
            "IFS",
            "SHELLOPTS",
            "BASHOPTS",
            "PS4",
            "GLIBC_TUNABLES",
            "GCONV_PATH",
            "HOME",
            "USER",
            "SHELL",
            "NOTIFY_SOCKET",
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
            "WATCHDOG_USEC",
            "MALLOC_TRACE",
            "CREDENTIALS_DIRECTORY",
            "OPENSSL_CONF",
            "HOSTALIASES",
            "KRB5_CONFIG",
            "TERMINFO_DIRS",
        ];
        for name in never {
            assert!(refused(name, &[].into()).is_some(), "{name} was accepted");
            assert!(refused(name, &[name.to_owned()].into()).is_some(), "{name} could be allowed");
        }
    }

    #[test]
    fn names_that_a_service_may_need_are_refused_until_its_manifest_allows_them() {
        let names = [
            "NODE_OPTIONS",
            "NODE_PATH",
            "NODE_EXTRA_CA_CERTS",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "RUBYOPT",
            "JAVA_TOOL_OPTIONS",
            "npm_config_registry",
            "NPM_CONFIG_REGISTRY",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_KEY_0",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_CONFIG_FILE",
            "SSL_CERT_FILE",
        ];
        for name in names {
            assert!(refused(name, &[].into()).is_some(), "{name} was accepted");
            assert!(
                refused(name, &["OTHER".to_owned()].into()).is_some(),
                "{name} was accepted because of another name"
            );
            assert_eq!(refused(name, &[name.to_owned()].into()), None, "{name} cannot be allowed");
        }
    }

    #[test]
    fn usual_names_are_not_refused() {
        let names = [
            "DATABASE_URL",
            "NODE_ENV",
            "PORT",
            "LOG_LEVEL",
            "ENVIRONMENT",
            "ENV_NAME",
            "PATH_PREFIX",
            "HOMEPAGE",
            "USERNAME",
            "SHELL_COLOR",
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "LDAP_URL",
            "LD_SDK_KEY",
            "LD_CLIENT_ID",
            "LISTEN_PORT",
            "LISTEN_ADDRESS",
            "ENV",
            "MALLOC_ARENA_MAX",
            "WATCHDOG_INTERVAL",
            "GIT_SHA",
            "GIT_COMMIT",
            "LDR_URL",
            "HTTP_PROXY",
            "TZ",
            "LANG",
        ];
        for name in names {
            assert_eq!(refused(name, &[].into()), None, "{name} was refused");
        }
    }

    #[test]
    fn the_reference_lists_every_refused_name() {
        let reference = include_str!("../../../docs/reference/environment.md");
        for pattern in NEVER.iter().chain(UNLESS_ALLOWED).flat_map(|(names, _)| *names) {
            assert!(reference.contains(&format!("`{pattern}`")), "{pattern} is not in environment.md");
        }
    }
}
