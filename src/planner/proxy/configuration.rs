//! The configuration of the proxy's nginx. It names neither release nor commit, so that it changes only with the manifest.

use std::fmt::Write;

use crate::observe::Selection;
use crate::observe::manifest::{ProxyLimits, ProxyWish};
use crate::planner::nginx::SCRATCH;

/// A form with a few photographs. nginx's own default of 1 MiB refuses the first one.
const BODY: &str = "10M";
/// Seconds without a piece of an answer. As long as a load balancer waits by default.
const TIMEOUT: u64 = 60;

pub fn configuration(
    wish: &ProxyWish,
    upstream: u16,
    candidate: Option<u16>,
    selection: &Selection,
) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "# Written by bootagent; do not edit: each run replaces this file.
daemon off;
worker_processes auto;
pid /tmp/nginx.pid;
error_log stderr error;
# Of old workers after a reload, and at the end: open websockets would keep them for ever.
worker_shutdown_timeout 20s;

events {{
    worker_connections 4096;
}}

http {{
    access_log off;
{SCRATCH}
    # Longer than the 60 s of a load balancer, which must be the first one to close an idle connection.
    keepalive_timeout 75s;
    server_tokens off;
    large_client_header_buffers 8 16k;
{gzip}
{forwarded}
    # A websocket asks for an upgrade of its connection; any other request ends with its answer.
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        \"\" close;
    }}

    # max_fails=0: a service that is restarted is asked again at once.
    upstream service {{
        server 127.0.0.1:{upstream} max_fails=0;
        # For a service that listens on localhost, where that is ::1.
        server [::1]:{upstream} backup max_fails=0;
{candidate}    }}

    server {{
        listen {port} default_server;

        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $forwarded_for;
        proxy_set_header X-Forwarded-Proto $forwarded_proto;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Port $forwarded_port;
        proxy_redirect off;
        proxy_buffer_size 16k;
        proxy_buffers 8 16k;
        # Only to another address of the service, and only if this one does not answer at all.
        proxy_next_upstream error;
        proxy_connect_timeout 5s;
{limits}
        location / {{
            proxy_pass http://service;
        }}
",
        port = wish.port,
        gzip = gzip(wish.gzip),
        forwarded = forwarded(&selection.proxy_trust),
        candidate = candidate.map(candidate_server).unwrap_or_default(),
        limits = limits(&whole(&wish.limits), "        "),
    );
    for (path, own) in &wish.paths {
        // The path itself and what is below it, and not /uploads for /upload.
        for location in [format!("= {path}"), format!("^~ {path}/")] {
            let limits = limits(own, "            ");
            let _ = write!(
                text,
                "\n        location {location} {{\n{limits}            proxy_pass http://service;\n        }}\n"
            );
        }
    }
    text.push_str("    }\n}\n");
    text
}

/// With the defaults.
fn whole(limits: &ProxyLimits) -> ProxyLimits {
    ProxyLimits {
        body: limits.body.clone().or(Some(BODY.to_owned())),
        timeout: limits.timeout.or(Some(crate::plan::Seconds(TIMEOUT))),
    }
}

fn limits(limits: &ProxyLimits, indent: &str) -> String {
    let body = limits.body.as_ref().map(|body| format!("{indent}client_max_body_size {body};\n"));
    let timeout = limits.timeout.map(|timeout| {
        let seconds = timeout.0;
        format!("{indent}proxy_read_timeout {seconds}s;\n{indent}proxy_send_timeout {seconds}s;\n")
    });
    body.into_iter().chain(timeout).collect()
}

/// While an update restarts the service, the candidate, which runs the same release, answers.
fn candidate_server(port: u16) -> String {
    format!(
        "        # During an update: the candidate of the new release.\n        server 127.0.0.1:{port} backup max_fails=0;\n"
    )
}

fn gzip(is_on: bool) -> &'static str {
    match is_on {
        false => "    gzip off;\n",
        true => {
            "    gzip on;
    gzip_vary on;
    gzip_proxied any;
    gzip_min_length 1024;
    gzip_types text/css text/javascript text/plain text/xml text/csv application/javascript application/json application/manifest+json application/xml application/wasm image/svg+xml;
"
        }
    }
}

/// The variables of `X-Forwarded-*`. Without a trusted range, the service gets what the request has, as without a proxy. With
/// one, `X-Forwarded-*` of all other addresses is dropped, and the client's address is the one that the load balancer names.
fn forwarded(trust: &[String]) -> String {
    if trust.is_empty() {
        return "    map $http_x_forwarded_proto $forwarded_proto {
        default $http_x_forwarded_proto;
        \"\" $scheme;
    }
    map $http_x_forwarded_port $forwarded_port {
        default $http_x_forwarded_port;
        \"\" $server_port;
    }
    map $remote_addr $forwarded_for {
        default $proxy_add_x_forwarded_for;
    }
"
        .to_owned();
    }
    let real = trust.iter().map(|range| format!("    set_real_ip_from {range};\n")).collect::<String>();
    let known = trust.iter().map(|range| format!("        {range} 1;\n")).collect::<String>();
    format!(
        "    # The load balancers' addresses, from the policy.
{real}    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
    geo $realip_remote_addr $from_balancer {{
        default 0;
{known}    }}
    map \"$from_balancer:$http_x_forwarded_proto\" $forwarded_proto {{
        default $scheme;
        \"~^1:(?<balancer_proto>https?)$\" $balancer_proto;
    }}
    map \"$from_balancer:$http_x_forwarded_port\" $forwarded_port {{
        default $server_port;
        \"~^1:(?<balancer_port>[0-9]+)$\" $balancer_port;
    }}
    map \"$from_balancer:$http_x_forwarded_for\" $forwarded_for {{
        default $realip_remote_addr;
        \"~^1:(?<balancer_for>.+)$\" \"$balancer_for, $realip_remote_addr\";
    }}
"
    )
}
