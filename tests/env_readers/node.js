// Reads many .env texts with every reader that node services use. Last argument: the directory whose
// node_modules has the packages. Stdin: a JSON list of texts. Stdout: reader -> list of lists of pairs.
const { createRequire } = require('node:module')
const { readFileSync } = require('node:fs')
const { parseEnv } = require('node:util')

const load = createRequire(process.argv.at(-1) + '/package.json')
const texts = JSON.parse(readFileSync(0, 'utf8'))
const pairs = (object) => Object.keys(object).map((key) => [key, object[key]])

// A reader that expands gets a process that has every value already, as a service has, and changes it where it reads
// something else: what the process has in the end counts.
const inProcess = (expand) => (text) => {
  const before = process.env
  const own = parse(text)
  process.env = { ...own }
  try {
    expand(text)
    return Object.fromEntries(Object.keys(own).map((key) => [key, process.env[key]]))
  } finally {
    process.env = before
  }
}
const { parse } = load('dotenv16')
const expanding = {
  'dotenv-expand': (text) => load('dotenv-expand').expand({ parsed: parse(text) }),
  '@next/env': (text) => load('@next/env').processEnv([{ path: '.env', contents: text, env: {} }], '/', { info() {}, error() {} }, true),
}

const readers = { [`util.parseEnv of node ${process.version}`]: parseEnv }
for (const [name, expand] of Object.entries(expanding)) readers[name] = inProcess(expand)
for (const name of Object.keys(load('./package.json').dependencies).filter((name) => !(name in expanding))) {
  const { version } = load(`${name}/package.json`)
  readers[`dotenv ${version}`] = load(name).parse
  if (Number(version.split('.')[0]) >= 18) {
    readers[`dotenv ${version}, fast`] = (text) => load(name).parse(text, { fast: true })
  }
}
const answers = Object.entries(readers).map(([name, read]) => [name, texts.map((text) => pairs(read(text)))])
process.stdout.write(JSON.stringify(Object.fromEntries(answers)))
