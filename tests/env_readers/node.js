// Reads many .env texts with every reader that node services use. Last argument: the directory whose
// node_modules has the packages. Stdin: a JSON list of texts. Stdout: reader -> list of lists of pairs.
const { createRequire } = require('node:module')
const { readFileSync } = require('node:fs')
const { parseEnv } = require('node:util')

const load = createRequire(process.argv.at(-1) + '/package.json')
const texts = JSON.parse(readFileSync(0, 'utf8'))
const pairs = (object) => Object.keys(object).map((key) => [key, object[key]])

const readers = { [`util.parseEnv of node ${process.version}`]: parseEnv }
for (const name of Object.keys(load('./package.json').dependencies)) {
  const { version } = load(`${name}/package.json`)
  readers[`dotenv ${version}`] = load(name).parse
  if (Number(version.split('.')[0]) >= 18) {
    readers[`dotenv ${version}, fast`] = (text) => load(name).parse(text, { fast: true })
  }
}
const answers = Object.entries(readers).map(([name, read]) => [name, texts.map((text) => pairs(read(text)))])
process.stdout.write(JSON.stringify(Object.fromEntries(answers)))
