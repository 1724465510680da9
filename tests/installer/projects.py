"""The projects of which the comparison's packages come: one for each kind of tree that npm makes. `npm ci` of them fills the
store once (`store.py`); all other lockfiles are made of what is in it, without a question to the registry."""


def project(dependencies, development=None, **more):
    return {"package.json": {"name": "app", "version": "1.0.0", "private": True, "dependencies": dependencies,
                             **({"devDependencies": development} if development else {}), **more}}  # fmt: skip


def workspace(name, dependencies, **more):
    return {"name": name, "version": "1.0.0", "dependencies": dependencies, **more}


CLI = "#!/usr/bin/env node\n"

# Those that `make test` looks at, and fetches.
SMALL = {
    "express": project({"express": "4", "jsonwebtoken": "9"}, {"rimraf": "5"}),
    "optional-platforms": project({"esbuild": "^0.25", "rollup": "^4"}),
    "optional-only": project({}, optionalDependencies={"fsevents": "2", "left-pad": "1"}),
    # The one that chokidar requires is below it, for another machine, and alone there.
    "nested-optional": project({"chokidar": "3"}, optionalDependencies={"fsevents": "2.0.7"}),
    "alias": project({"old": "npm:lodash@3", "new": "npm:lodash@4", "@s/alias": "npm:is-odd@3"}),
    "overrides": project({"express": "4"}, overrides={"ms": "2.1.3"}),
    # A package that brings others along, which every project with Tailwind 4 has.
    "bundles-tailwind": project({"tailwindcss": "4", "@tailwindcss/postcss": "4"}),
    "tabs": {"package.json": '{\n\t"name": "tabs",\n\t"dependencies": {\n\t\t"is-odd": "3"\n\t}\n}\n'},
    "no-dependencies": project({}),
    "only-development": project({}, {"is-odd": "3", "rimraf": "5"}),
    "link": {
        **project({"lib": "file:./lib"}),
        "lib/package.json": workspace("lib", {"is-odd": "3"}, bin={"lib": "./cli.js"}),
        "lib/cli.js": CLI,
    },
    "workspaces": {
        **project({"ms": "2"}, {"rimraf": "5"}, workspaces=["packages/*", "apps/web"]),
        "packages/a/package.json": workspace("@acme/a", {"ms": "1", "b": "*"}, bin="cli.js"),
        "packages/a/cli.js": CLI,
        "packages/b/package.json": workspace("b", {"is-odd": "3"}, devDependencies={"rimraf": "3"}, license="MIT"),
        "apps/web/package.json": workspace("web", {"@acme/a": "^1.0.0", "express": "4"}),
    },
}

LARGE = {
    "mocha": project({"express": "4", "winston": "3"}, {"mocha": "10", "nodemon": "3"}),
    "bundles": project({"npm": "10"}),
    "next": project(
        {"next": "15", "react": "19", "react-dom": "19"}, {"typescript": "5", "eslint": "9", "eslint-config-next": "15"}
    ),
    "nest": project(
        {"@nestjs/core": "11", "@nestjs/common": "11", "@nestjs/platform-express": "11", "reflect-metadata": "*", "rxjs": "7"},
        {"@nestjs/cli": "11", "jest": "29", "ts-jest": "29", "typescript": "5"},
    ),
    "angular": project(
        {"@angular/core": "19", "@angular/common": "19", "rxjs": "7", "zone.js": "0.15"}, {"@angular/cli": "19"}
    ),
    "vite": project({"vue": "3"}, {"vite": "6", "vitest": "3", "tailwindcss": "4", "@tailwindcss/vite": "4"}),
    "tailwind": project({"tailwindcss": "3", "postcss": "8", "autoprefixer": "10"}),
    "natives": project({"sharp": "0.33", "bcrypt": "6", "better-sqlite3": "12", "@swc/core": "1", "lightningcss": "1"}),
    "prisma": project({"@prisma/client": "6"}, {"prisma": "6"}),
    "old": project({"request": "2", "gulp": "3.9.1", "coffee-script": "1"}),
    "casing": project({"JSONStream": "1", "jsonstream": "1"}),
    "peers": project({"react": "18", "react-dom": "18", "@emotion/react": "11", "@emotion/styled": "11"}),
    "servers": project({"fastify": "5", "koa": "2", "socket.io": "4", "mongoose": "8", "axios": "1", "pino": "9"}),
    "webpack": project({"lodash": "4"}, {"webpack": "5", "webpack-cli": "6", "@babel/core": "7", "@babel/preset-env": "7"}),
}

# For `measure.py`, whose projects have up to 2,000 packages. Peers of so many would contradict each other.
WIDE = {
    name: files | {".npmrc": "legacy-peer-deps=true\n"}
    for name, files in {
        "react-scripts": project({"react": "18", "react-dom": "18"}, {"react-scripts": "5"}),
        "gatsby": project({"gatsby": "5", "react": "18", "react-dom": "18"}),
        "nuxt": project({"nuxt": "3"}),
        "storybook": project(
            {"react": "18", "react-dom": "18"}, {"storybook": "8", "@storybook/react-vite": "8", "vite": "6"}
        ),
        "lerna": project({}, {"lerna": "8"}),
        "firebase": project({"firebase": "11", "firebase-admin": "13"}, {"firebase-tools": "13"}),
        "aws": project(
            {"aws-sdk": "2", "@aws-sdk/client-s3": "3", "@aws-sdk/client-sqs": "3", "@aws-sdk/client-dynamodb": "3"},
            {"serverless": "3"},
        ),
        "expo": project({"expo": "52", "react": "18.3.1", "react-native": "0.76"}),
        "semantic-release": project(
            {}, {"semantic-release": "24", "commitizen": "4", "lint-staged": "15", "prettier": "3", "stylelint": "16"}
        ),
    }.items()
}

# What npm cannot take from a registry; the lockfile is written by hand.
GIT = "git+ssh://git@github.com/acme/is-number.git#98e8ff1da1a89f93d1397a24d7413ed15421c139"
ELSEWHERE = {
    "git": {
        **project({"is-number": GIT}),
        "package-lock.json": {
            "name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": True,
            "packages": {
                "": {"name": "app", "version": "1.0.0", "dependencies": {"is-number": GIT}},
                "node_modules/is-number": {"version": "7.0.0", "resolved": GIT},
            },
        },  # fmt: skip
    },
}
