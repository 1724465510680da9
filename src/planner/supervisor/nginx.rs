//! What serves a static site: nginx in the service's unit, as the service's user, with a configuration of its own. The
//! machine's nginx.service and /etc/nginx are not used.
//!
//! The configuration names the release itself and not `current`: so a reload switches all at once, and an old worker goes
//! on with the old release.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::service_unit::Main;
use super::systemd;
use super::{App, Service, Supervisor};
use crate::error::{Code, Error, Result};
use crate::facts::{ServiceFile, Source, Supervised, Takes};
use crate::observe::manifest::{Manifest, SupervisorName};
use crate::plan::{Probe, Request, layout};
use crate::planner::nginx::SCRATCH;
use crate::planner::records;
use crate::planner::runtime::Recipe;
use crate::planner::runtime::Site;

/// Chosen for each static site, by no name.
pub const NGINX: Supervisor =
    Supervisor { name: SupervisorName::Systemd, evidence: &[], starts: |_, _| false, refuse, supervise };

const TYPES: &str = include_str!("nginx/types.conf");

/// Names with a hash of the content, as bundlers write them: in directories of frameworks that hold nothing else; with 8
/// or more hexadecimal digits (webpack), 8 upper-case letters and digits (esbuild), or in `assets` 8 letters and digits
/// (Vite). A letter and a digit or upper-case letter must be among them, since `-original` and `-20240131` are not hashes.
const HASHED: &str = r"^/(_next/static|_app/immutable|_astro)/|[.-](?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,64}\.(chunk\.|min\.)?[a-z0-9]+(\.map)?$|-(?=\d*[A-Z])[0-9A-Z]{8}\.(js|css|mjs)(\.map)?$|/assets/[^/]*-(?=[^./]*[A-Z0-9])(?=[^./]*[A-Za-z])[\w-]{8}\.[a-z0-9]+(\.map)?$";
/// Files of a program. A path that ends so is never answered by the page for paths without a file: a browser would take
/// the page for the program.
const CODE: &str = r"\.(js|mjs|css|map|wasm|woff2?)$";

/// A path without a file, for the health check.
const DEEP: &str = "/bootagent/deep-link";

fn invalid(cause: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, "planning how the site is served", cause.into())
}

fn refuse(_: &Source, manifest: &Manifest, _: &Recipe) -> Result<()> {
    if manifest.supervisor() != SupervisorName::Systemd {
        return Err(invalid("supervisor = \"pm2\" runs programs, and a static site has none").remedy(
            "remove supervisor and [pm2] from bootagent.toml; or name a program: start = \"node server.js\"",
        ));
    }
    if manifest.candidate_port.is_some() {
        return Err(invalid(
            "a static site has no candidate (rehearsal.port): nginx switches without an interruption",
        )
        .remedy("remove rehearsal from bootagent.toml"));
    }
    Ok(())
}

fn supervise(app: &App) -> Result<Service> {
    let Some(site) = app.recipe.site() else {
        return Err(Error::new(Code::Bug, "planning how the site is served", "it is not a site"));
    };
    let port = port(app)?;
    let path = app.layout.home().join("nginx.conf");
    let why = "how nginx serves the release".to_owned();
    let text = configuration(app, site, port);
    let file = ServiceFile { name: "nginx".to_owned(), why, path: path.clone(), text };
    let nginx = |more: &[&str]| {
        let mut argv = vec![site.nginx.display().to_string()];
        if site.takes_error_log {
            argv.extend(["-e", "stderr"].map(str::to_owned));
        }
        argv.extend(["-c".to_owned(), path.display().to_string()]);
        argv.extend(more.iter().map(|word| (*word).to_owned()));
        argv
    };
    let main = Main {
        argv: nginx(&[]),
        tree: app.layout.home(),
        check: Some(nginx(&["-t", "-q"])),
        reload: Some(nginx(&["-s", "reload"])),
        needs_no_variables: true,
        ..Main::default()
    };
    let unit = systemd::unit(app, &main)?;
    let runs_by =
        Supervised { unit, files: vec![file], takes: Takes::ReloadOfFiles, ..Supervised::default() };
    Ok(Service { runs_by, probes: probes(app, site, port), ..Service::default() })
}

fn port(app: &App) -> Result<u16> {
    app.port().ok_or_else(|| {
        invalid("PORT is not a number from 1 to 65535")
            .remedy("correct PORT in the secret, or port in bootagent.toml")
    })
}

/// The first page, and the page for paths without a file, must be this release's.
fn probes(app: &App, site: &Site, port: u16) -> Vec<Probe> {
    let health = &app.wanted.manifest.health;
    let root = layout::site(app.release);
    let page = |path: &str, file: &str| Probe::Http {
        port,
        request: Request {
            path: path.to_owned(),
            statuses: Vec::new(),
            host: None,
            answer: health.answer,
            page: Some(root.join(file)),
        },
    };
    let deep = site.fallback.as_ref().map(|file| page(DEEP, file));
    [page("/", "index.html")].into_iter().chain(deep).collect()
}

/// The site of the release that was healthy before this one: tabs that were opened then load the rest of their program
/// from there.
fn former(app: &App) -> Option<PathBuf> {
    let good = records::good(app.wanted)?;
    let is_same = good.generation.release == app.release;
    let before = if is_same { good.before.as_deref() } else { Some(good.generation.release.as_path()) };
    before.map(layout::site)
}

fn configuration(app: &App, site: &Site, port: u16) -> String {
    let root = layout::site(app.release);
    let former = former(app);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "# Written by bootagent; do not edit: each run replaces this file.
daemon off;
worker_processes auto;
pid /tmp/nginx.pid;
error_log stderr warn;

events {{
    worker_connections 4096;
}}

http {{
    access_log off;
{SCRATCH}
{TYPES}    default_type application/octet-stream;
    charset utf-8;
    charset_types text/css text/javascript text/plain text/xml application/json;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    server_tokens off;
    gzip on;
    gzip_vary on;
    gzip_proxied any;
    gzip_min_length 1024;
    gzip_types text/css text/javascript text/plain text/xml text/csv application/json application/manifest+json application/rss+xml application/wasm image/svg+xml font/ttf font/otf;

    # Names with a hash of the content never mean another content; all other files are asked for again.
    map $uri $caching {{
        default no-cache;
        \"~{HASHED}\" \"public, max-age=31536000, immutable\";
    }}

    server {{
        listen {port} default_server;
        root {root};
        # A link to a file of another user, such as the service's environment, is not followed.
        disable_symlinks if_not_owner from={root};
        absolute_redirect off;
        add_header Cache-Control $caching;
        add_header X-Content-Type-Options nosniff always;
        add_header Referrer-Policy strict-origin-when-cross-origin always;
",
        root = root.display(),
    );
    text.push_str(&locations(site, former.as_deref()));
    text.push_str("    }\n}\n");
    text
}

fn locations(site: &Site, former: Option<&Path>) -> String {
    // With a fallback, the page would be answered by that.
    let mut text = match site.fallback {
        Some(_) => String::new(),
        None => "        error_page 403 =404 /404.html;\n        error_page 404 /404.html;\n".to_owned(),
    };
    text.push_str(
        "
        location ~ /\\.(?!well-known/) {
            return 404;
        }
",
    );
    if site.roots.iter().any(|root| root == ".") {
        text.push_str(
            "
        location ~ ^/(bootagent\\.toml|Staticfile|package(-lock)?\\.json|node_modules/) {
            return 404;
        }
",
        );
    }
    let otherwise = if former.is_some() { "@former" } else { "=404" };
    let _ = write!(
        text,
        "
        # Never the page for paths without a file: a browser would take it for the program.
        location ~ \"{CODE}\" {{
            try_files $uri {otherwise};
        }}

        location ~ \"{HASHED}\" {{
            try_files $uri {otherwise};
        }}
"
    );
    if let Some(former) = former {
        let _ = write!(
            text,
            "
        # For tabs that were opened before the last update.
        location @former {{
            root {former};
            disable_symlinks if_not_owner from={former};
            try_files $uri =404;
        }}
",
            former = former.display()
        );
    }
    let pages = match &site.fallback {
        Some(page) => format!("$uri $uri/index.html /{page}"),
        None => "$uri $uri.html $uri/ =404".to_owned(),
    };
    let _ = write!(
        text,
        "
        location / {{
            index index.html;
            try_files {pages};
        }}
"
    );
    text
}
