//! What frameworks build, and how that starts, where package.json has no start script of production's. A row per framework.
//! Sources: each framework's page about deployment.

use crate::planner::runtime::node::package::Package;

/// A framework, recognized by a dependency.
#[derive(Debug)]
pub struct Framework {
    pub name: &'static str,
    /// Any of these dependencies shows it.
    pub packages: &'static [&'static str],
    /// The start line for production.
    pub start: &'static str,
    /// Variables that make it listen on all addresses, where its default is loopback.
    pub variables: &'static [(&'static str, &'static str)],
    /// Directories of the release that it writes to while it serves.
    pub writes: &'static [&'static str],
}

const NITRO: &str = "node .output/server/index.mjs";
pub const SVELTEKIT: &str = "SvelteKit";
const ALL_ADDRESSES: &[(&str, &str)] = &[("HOST", "0.0.0.0")];

/// The more special ones first: a Nest application may use Fastify.
pub const FRAMEWORKS: &[Framework] = &[
    Framework {
        name: "Next.js",
        packages: &["next"],
        start: "next start",
        variables: &[],
        writes: &[".next/cache"],
    },
    Framework { name: "Nuxt", packages: &["nuxt"], start: NITRO, variables: &[], writes: &[] },
    Framework {
        name: "TanStack Start or Solid Start",
        packages: &["@tanstack/react-start", "@tanstack/solid-start", "@solidjs/start"],
        start: NITRO,
        variables: &[],
        writes: &[],
    },
    Framework { name: "Nitro", packages: &["nitropack", "nitro"], start: NITRO, variables: &[], writes: &[] },
    Framework {
        name: "NestJS",
        packages: &["@nestjs/core"],
        start: "node dist/main",
        variables: &[],
        writes: &[],
    },
    Framework {
        name: "React Router",
        packages: &["@react-router/serve"],
        start: "react-router-serve build/server/index.js",
        variables: &[],
        writes: &[],
    },
    Framework {
        name: "Remix",
        packages: &["@remix-run/serve"],
        start: "remix-serve build/server/index.js",
        variables: &[],
        writes: &[],
    },
    Framework {
        name: SVELTEKIT,
        packages: &["@sveltejs/adapter-node"],
        start: "node build",
        variables: &[],
        writes: &[],
    },
    Framework {
        name: "Astro",
        packages: &["@astrojs/node"],
        start: "node dist/server/entry.mjs",
        variables: ALL_ADDRESSES,
        writes: &[],
    },
    Framework {
        name: "Strapi",
        packages: &["@strapi/strapi"],
        start: "strapi start",
        variables: ALL_ADDRESSES,
        writes: &[],
    },
    Framework {
        name: "AdonisJS",
        packages: &["@adonisjs/core"],
        start: "node build/bin/server.js",
        variables: ALL_ADDRESSES,
        writes: &[],
    },
    Framework {
        name: "Fastify CLI",
        packages: &["fastify-cli"],
        start: "fastify start app.js",
        variables: &[("FASTIFY_ADDRESS", "0.0.0.0")],
        writes: &[],
    },
];

/// The former major versions that start otherwise: the package, the version, and their row.
const FORMER: &[(&str, u32, Framework)] = &[
    (
        "nuxt",
        2,
        Framework {
            name: "Nuxt 2",
            packages: &["nuxt"],
            start: "nuxt start",
            variables: ALL_ADDRESSES,
            writes: &[],
        },
    ),
    (
        "@adonisjs/core",
        5,
        Framework {
            name: "AdonisJS 5",
            packages: &["@adonisjs/core"],
            start: "node build/server.js",
            // Its build has no .env, which it would miss.
            variables: &[("HOST", "0.0.0.0"), ("ENV_SILENT", "true")],
            writes: &[],
        },
    ),
];

/// The framework of an application. What has it as a peer is a plug-in for applications.
pub fn of(package: &Package) -> Option<&'static Framework> {
    let uses = |name: &&str| {
        package.has(name) && (package.depends_on(name) || !package.peer_dependencies.contains_key(*name))
    };
    let found = FRAMEWORKS.iter().find(|framework| framework.packages.iter().any(uses))?;
    let is_former = |(name, major, _): &&(&str, u32, Framework)| {
        found.packages.contains(name) && package.major(name) == Some(*major)
    };
    Some(FORMER.iter().find(is_former).map_or(found, |(_, _, former)| former))
}

/// Packages that listen on a port.
const WEB: &[&str] = &[
    "express",
    "fastify",
    "koa",
    "@hapi/hapi",
    "restify",
    "polka",
    "hono",
    "@hono/node-server",
    "h3",
    "elysia",
    "sails",
    "@feathersjs/express",
    "@feathersjs/koa",
    "socket.io",
    "ws",
    "apollo-server",
    "@apollo/server",
    "graphql-yoga",
    "connect",
    "serve",
    "http-server",
    "json-server",
    "@redwoodjs/api-server",
    "moleculer-web",
    "@loopback/rest",
    "micro",
    "tinyhttp",
    "@tinyhttp/app",
    "actionhero",
    "egg",
    "@midwayjs/web",
    "@ghost",
    "parse-server",
    "vite",
];

pub fn is_web(package: &Package) -> bool {
    of(package).is_some() || WEB.iter().any(|name| package.depends_on(name))
}

/// Programs that serve a development version, with the word that makes them. Without a word, a call without one; `*` is any
/// call, but for `build`.
const DEVELOPMENT: &[(&str, &str)] = &[
    ("next", "dev"),
    ("next", ""),
    ("nuxt", "dev"),
    ("nuxt", ""),
    ("nuxi", "dev"),
    ("nuxt", "start"),
    ("nuxt", "preview"),
    ("nest", "start"),
    ("vite", "dev"),
    ("vite", ""),
    ("vite", "serve"),
    ("astro", "dev"),
    ("astro", "preview"),
    ("remix", "dev"),
    ("remix", "vite:dev"),
    ("react-router", "dev"),
    ("react-scripts", "start"),
    ("vue-cli-service", "serve"),
    ("ng", "serve"),
    ("ng", "s"),
    ("webpack", "serve"),
    ("webpack-dev-server", "*"),
    ("gatsby", "develop"),
    ("docusaurus", "start"),
    ("parcel", "*"),
    ("rsbuild", "dev"),
    ("rsbuild", "preview"),
    ("hexo", "server"),
    ("hexo", "s"),
    ("ember", "serve"),
    ("ember", "s"),
    ("vuepress", "dev"),
    ("storybook", "dev"),
    ("start-storybook", "*"),
    ("expo", "start"),
    ("eleventy", "--serve"),
    ("strapi", "develop"),
    ("strapi", "dev"),
    ("svelte-kit", "dev"),
    ("vinxi", "dev"),
    ("nitropack", "dev"),
    ("nitro", "dev"),
    ("ace", "serve"),
    ("adonis", "serve"),
    ("vite", "preview"),
    ("nx", "serve"),
    ("nx", "dev"),
    ("wrangler", "dev"),
    ("vercel", "dev"),
    ("netlify", "dev"),
    ("serverless", "offline"),
    ("sls", "offline"),
    ("firebase", "emulators:start"),
];

/// Whether a line serves a development version, which the framework's own start line replaces.
pub fn is_development(program: &str, word: &str, line: &str) -> bool {
    DEVELOPMENT.iter().any(|(known, with)| {
        *known == program
            && match *with {
                "" => word.is_empty() || word.starts_with('-'),
                "*" => word != "build",
                "--serve" => line.split_whitespace().any(|word| word == "--serve"),
                with => with == word,
            }
    })
}

/// Flags for the port and the address of programs that read no `PORT`: (program, word, port, address).
const FLAGS: &[(&str, &str, &str, &str)] = &[
    ("vite", "preview", "--port", "--host"),
    ("vite", "dev", "--port", "--host"),
    ("vite", "", "--port", "--host"),
    ("astro", "preview", "--port", "--host"),
    ("astro", "dev", "--port", "--host"),
    ("gatsby", "serve", "--port", "--host"),
    ("docusaurus", "serve", "--port", "--host"),
    ("vitepress", "preview", "--port", "--host"),
    ("vitepress", "serve", "--port", "--host"),
    ("json-server", "", "--port", "--host"),
    ("ng", "serve", "--port", "--host"),
];

/// What must be added to a line so that the program listens on `PORT`, on all addresses. Empty if the line says it itself.
pub fn flags(program: &str, word: &str, line: &str) -> String {
    let row = FLAGS.iter().find(|(known, with, ..)| {
        *known == program && (*with == word || with.is_empty() && !word.chars().all(char::is_alphanumeric))
    });
    let row = row.or_else(|| {
        FLAGS.iter().find(|(known, with, ..)| *known == program && with.is_empty() && word.is_empty())
    });
    let Some((_, _, port, host)) = row else { return String::new() };
    let mut added = String::new();
    if !line.contains(port) && !line.contains(" -p ") {
        added += &format!(" {port} \"${{PORT:-3000}}\"");
    }
    if !line.contains(host) && !line.contains(" -H ") {
        added += &format!(" {host} 0.0.0.0");
    }
    added
}
