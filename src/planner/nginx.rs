//! What every configuration of nginx has, of a static site and of a proxy. Text only.

/// nginx's scratch, in the unit's private /tmp: its own default is a directory of root's.
pub const SCRATCH: &str = "    client_body_temp_path /tmp/client-body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
";
