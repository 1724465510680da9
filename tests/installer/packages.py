"""Much used packages of the npm registry, and projects of unusual kinds."""

MOST_USED = """
express lodash react react-dom axios chalk commander debug async moment uuid yargs request fs-extra bluebird body-parser underscore
typescript webpack eslint prettier jest mocha chai glob rimraf mkdirp semver minimist colors dotenv inquirer winston jsonwebtoken bcryptjs
cors morgan helmet passport mongoose mongodb mysql2 pg redis ioredis sequelize knex typeorm socket.io ws koa koa-router fastify hapi
@hapi/hapi next vue vue-router vuex svelte rollup vite esbuild @babel/core @babel/preset-env @babel/cli ts-node nodemon pm2 concurrently
cross-env husky lint-staged tailwindcss postcss autoprefixer sass less styled-components @emotion/react @mui/material redux react-redux
@reduxjs/toolkit rxjs zone.js @angular/core @nestjs/core @nestjs/common @nestjs/platform-express graphql apollo-server-express
@apollo/server type-graphql class-validator class-transformer reflect-metadata ajv joi yup zod date-fns dayjs luxon immutable immer ramda
cheerio puppeteer-core playwright-core jsdom nodemailer multer formidable busboy sharp aws-sdk @aws-sdk/client-s3 firebase-admin stripe
twilio @sendgrid/mail handlebars ejs pug mustache marked highlight.js markdown-it showdown js-yaml xml2js csv-parse xlsx archiver
adm-zip tar unzipper cookie-parser express-session compression connect-redis rate-limiter-flexible express-rate-limit swagger-ui-express
swagger-jsdoc pino pino-pretty bunyan log4js cron node-cron agenda bull bullmq amqplib kafkajs got node-fetch superagent supertest nock
sinon nyc c8 vitest @testing-library/react storybook @storybook/react tslib core-js regenerator-runtime classnames prop-types qs
through2 readable-stream iconv-lite safe-buffer string-width strip-ansi ansi-styles supports-color kind-of ms inherits once wrappy
@types/node @types/express @typescript-eslint/parser @typescript-eslint/eslint-plugin eslint-plugin-react eslint-plugin-import
""".split()


def project(dependencies, development=None, **more):
    return {"package.json": {"name": "app", "version": "1.0.0", "private": True, "dependencies": dependencies,
                             **({"devDependencies": development} if development else {}), **more}}


def workspace(name, dependencies, **more):
    return {"name": name, "version": "1.0.0", "dependencies": dependencies, **more}


PROJECTS = {
    "optional-platforms": project({"esbuild": "^0.25", "rollup": "^4", "@swc/core": "1", "lightningcss": "1"}),
    "optional-only": project({}, optionalDependencies={"fsevents": "2", "left-pad": "1"}),
    "alias": project({"old": "npm:lodash@3", "new": "npm:lodash@4", "@s/alias": "npm:is-odd@3"}),
    "bundles": project({"npm": "10"}),
    "next": project({"next": "15", "react": "19", "react-dom": "19"}, {"typescript": "5", "eslint": "9", "eslint-config-next": "15"}),
    "nest": project({"@nestjs/core": "11", "@nestjs/common": "11", "@nestjs/platform-express": "11", "reflect-metadata": "*", "rxjs": "7"},
                    {"@nestjs/cli": "11", "jest": "29", "ts-jest": "29", "typescript": "5"}),
    "express": project({"express": "4", "mongoose": "8", "jsonwebtoken": "9", "winston": "3"}, {"mocha": "10", "nodemon": "3"}),
    "angular": project({"@angular/core": "19", "@angular/common": "19", "rxjs": "7", "zone.js": "0.15"}, {"@angular/cli": "19"}),
    "vite": project({"vue": "3"}, {"vite": "6", "vitest": "3", "tailwindcss": "4", "@tailwindcss/vite": "4"}),
    "tailwind": project({"tailwindcss": "3", "postcss": "8", "autoprefixer": "10"}),
    "sharp": project({"sharp": "0.33", "bcrypt": "6"}),
    "prisma": project({"@prisma/client": "6"}, {"prisma": "6"}),
    "old": project({"request": "2", "gulp": "3.9.1", "coffee-script": "1"}),
    "casing": project({"JSONStream": "1", "jsonstream": "1"}),
    "overrides": project({"express": "4"}, overrides={"ms": "2.1.3"}),
    "peers": project({"react": "18", "@mui/material": "5", "@emotion/react": "11", "@emotion/styled": "11"}),
    "tabs": {**project({"is-odd": "3"}), "package.json": '{\n\t"name": "tabs",\n\t"dependencies": {\n\t\t"is-odd": "3"\n\t}\n}\n'},
    "git": project({"is-number": "github:jonschlinkert/is-number"}),
    "no-dependencies": project({}),
    "only-development": project({}, {"is-odd": "3", "rimraf": "5"}),
    "link": {**project({"lib": "file:./lib"}), "lib/package.json": workspace("lib", {"is-odd": "3"}, bin={"lib": "./cli.js"}), "lib/cli.js": "#!/usr/bin/env node\n"},
    "workspaces": {
        **project({"ms": "2"}, {"rimraf": "5"}, workspaces=["packages/*", "apps/web"]),
        "packages/a/package.json": workspace("@acme/a", {"ms": "1", "b": "*"}, bin="cli.js"),
        "packages/a/cli.js": "#!/usr/bin/env node\n",
        "packages/b/package.json": workspace("b", {"is-odd": "3"}, devDependencies={"rimraf": "3"}, license="MIT"),
        "apps/web/package.json": workspace("web", {"@acme/a": "^1.0.0", "express": "4"}),
    },
}
