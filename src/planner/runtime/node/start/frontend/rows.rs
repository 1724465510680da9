//! The frameworks whose build may be a static site. Sources: each framework's page about deployment as one.

use super::Configured;
use crate::planner::runtime::site::STATICFILE;

/// A framework whose build may be a static site.
#[derive(Debug)]
pub struct Frontend {
    pub name: &'static str,
    /// Any of these dependencies shows it.
    pub packages: &'static [&'static str],
    /// With one of these it has a server, or is built for another host.
    pub without: &'static [&'static str],
    /// Its configuration files.
    pub configs: &'static [&'static str],
    /// Whether its configuration and build script make a site.
    pub makes_site: fn(&Configured) -> bool,
    /// Keys of the configuration that name another directory.
    pub directory: &'static [&'static str],
    pub roots: &'static [&'static str],
    pub fallback: Option<&'static str>,
    /// The build command, where package.json has no build script.
    pub build: &'static str,
    /// Variables of the build.
    pub variables: &'static [(&'static str, &'static str)],
    /// Programs of start scripts that do not count, because they serve what this configuration does not build.
    pub not_started: &'static [&'static str],
}

const OTHER_HOSTS: &[&str] =
    &["@astrojs/node", "@astrojs/vercel", "@astrojs/netlify", "@astrojs/cloudflare", "@astrojs/deno"];
const VITE: &[&str] = &["vite.config.ts", "vite.config.js", "vite.config.mts", "vite.config.mjs"];
const INDEX: Option<&str> = Some("index.html");

/// Where nothing else differs from the usual.
const USUALLY: Frontend = Frontend {
    name: "",
    packages: &[],
    without: &[],
    configs: &[],
    makes_site: |_| true,
    directory: &[],
    roots: &["dist"],
    fallback: None,
    build: "",
    variables: &[],
    not_started: &[],
};

/// The more special ones first: most of them use Vite.
pub const FRONTENDS: &[Frontend] = &[
    Frontend {
        name: "Next.js, static export",
        packages: &["next"],
        configs: &["next.config.js", "next.config.mjs", "next.config.cjs", "next.config.ts"],
        makes_site: |of| of.says("output", "export"),
        directory: &["distDir"],
        roots: &["out"],
        build: "next build",
        not_started: &["next"],
        ..USUALLY
    },
    Frontend {
        name: "Nuxt, generated",
        packages: &["nuxt"],
        makes_site: |of| of.build.contains("generate"),
        roots: &[".output/public", "dist"],
        fallback: Some("200.html"),
        not_started: &["nuxt", "nuxi"],
        ..USUALLY
    },
    Frontend {
        name: "React Router, SPA mode",
        packages: &["@react-router/dev"],
        configs: &["react-router.config.ts", "react-router.config.js", "react-router.config.mjs"],
        makes_site: |of| of.says("ssr", "false"),
        roots: &["build/client"],
        fallback: INDEX,
        build: "react-router build",
        not_started: &["react-router-serve"],
        ..USUALLY
    },
    Frontend {
        name: "SvelteKit, adapter-static",
        packages: &["@sveltejs/adapter-static"],
        without: &["@sveltejs/adapter-node"],
        configs: &["svelte.config.js", "svelte.config.ts"],
        directory: &["pages"],
        roots: &["build"],
        build: "vite build",
        ..USUALLY
    },
    Frontend {
        name: "Astro",
        packages: &["astro"],
        without: OTHER_HOSTS,
        configs: &["astro.config.mjs", "astro.config.js", "astro.config.ts"],
        makes_site: |of| !of.says("output", "server"),
        directory: &["outDir"],
        build: "astro build",
        ..USUALLY
    },
    Frontend {
        name: "Create React App",
        packages: &["react-scripts"],
        roots: &["build"],
        fallback: INDEX,
        build: "react-scripts build",
        // With CI=true it takes each warning of its linter for an error.
        variables: &[("CI", "false")],
        ..USUALLY
    },
    Frontend {
        name: "Angular",
        packages: &["@angular/cli", "@angular/build", "@angular-devkit/build-angular"],
        without: &["@angular/ssr", "@nguniversal/express-engine"],
        configs: &["angular.json"],
        directory: &["outputPath"],
        roots: &["dist/*/browser", "dist/*", "dist"],
        fallback: INDEX,
        build: "ng build",
        variables: &[("NG_CLI_ANALYTICS", "false")],
        ..USUALLY
    },
    Frontend {
        name: "Vue CLI",
        packages: &["@vue/cli-service"],
        fallback: INDEX,
        build: "vue-cli-service build",
        ..USUALLY
    },
    Frontend { name: "Gatsby", packages: &["gatsby"], roots: &["public"], build: "gatsby build", ..USUALLY },
    Frontend {
        name: "Docusaurus",
        packages: &["@docusaurus/core"],
        roots: &["build"],
        build: "docusaurus build",
        ..USUALLY
    },
    Frontend {
        name: "VitePress",
        packages: &["vitepress"],
        roots: &["docs/.vitepress/dist", ".vitepress/dist"],
        ..USUALLY
    },
    Frontend {
        name: "Eleventy",
        packages: &["@11ty/eleventy"],
        roots: &["_site"],
        build: "eleventy",
        ..USUALLY
    },
    Frontend {
        name: "VuePress",
        packages: &["vuepress"],
        roots: &["docs/.vuepress/dist", "src/.vuepress/dist", ".vuepress/dist"],
        ..USUALLY
    },
    Frontend { name: "Hexo", packages: &["hexo"], roots: &["public"], build: "hexo generate", ..USUALLY },
    Frontend {
        name: "Ember",
        packages: &["ember-cli"],
        fallback: INDEX,
        build: "ember build --environment=production",
        ..USUALLY
    },
    Frontend {
        name: "Rsbuild",
        packages: &["@rsbuild/core"],
        fallback: INDEX,
        build: "rsbuild build",
        ..USUALLY
    },
    Frontend {
        name: "Expo for the web",
        packages: &["expo"],
        makes_site: |of| of.build.contains("expo export"),
        fallback: INDEX,
        ..USUALLY
    },
    Frontend {
        name: "Parcel",
        packages: &["parcel"],
        makes_site: |of| of.build.contains("parcel build"),
        fallback: INDEX,
        ..USUALLY
    },
    Frontend {
        name: "Vite",
        packages: &["vite"],
        without: &[
            "@sveltejs/kit",
            "astro",
            "nuxt",
            "@react-router/dev",
            "@remix-run/dev",
            "@solidjs/start",
            "@tanstack/react-start",
            "@tanstack/solid-start",
            "@builder.io/qwik-city",
            "vike",
            "vinxi",
        ],
        configs: VITE,
        makes_site: |of| of.has_page || of.value("root").is_some(),
        directory: &["outDir"],
        fallback: INDEX,
        build: "vite build",
        ..USUALLY
    },
];

/// Files whose text is read for these rows.
pub const FILES: &[&str] = &[
    STATICFILE,
    "react-router.config.ts",
    "react-router.config.js",
    "react-router.config.mjs",
    "svelte.config.js",
    "svelte.config.ts",
    "astro.config.mjs",
    "astro.config.js",
    "astro.config.ts",
    "angular.json",
    "vite.config.ts",
    "vite.config.js",
    "vite.config.mts",
    "vite.config.mjs",
];
