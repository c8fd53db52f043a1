// Checks documents against docs/schema/.
//
//   check_schemas.js self                the schemas themselves, docs/examples/, every ```json block of docs/contract.md, and the refusals below
//   check_schemas.js spoiled             prints the spoiled jobs that the schema refuses, one a line, each with an id of its own
//   check_schemas.js NAME < NDJSON       each line of standard input against NAME.schema.json
//
// Ends with "N passed, N failed"; exit 1 where something failed.
'use strict'
const fs = require('fs')
const path = require('path')
const Ajv = require('ajv/dist/2020')
const addFormats = require('ajv-formats')

const top = path.join(__dirname, '..', '..')
const base = 'https://reachd.example/schema/1/'
let passed = 0
let failed = 0

function tell (good, what, errors) {
  good ? passed++ : failed++
  if (!good) console.log('FAILED: ' + what + (errors ? ': ' + JSON.stringify(errors) : ''))
}

function load () {
  const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false, strictTypes: false, allowUnionTypes: true })
  addFormats(ajv)
  const directory = path.join(top, 'docs', 'schema')
  for (const name of fs.readdirSync(directory).filter(name => name.endsWith('.schema.json'))) {
    const schema = JSON.parse(fs.readFileSync(path.join(directory, name), 'utf8'))
    tell(schema.$id === base + name, name + ' has its own name as $id')
    ajv.addSchema(schema)
  }
  return name => ajv.getSchema(base + name + '.schema.json')
}

function check (validate, text, what) {
  let document
  try {
    document = JSON.parse(text)
  } catch (error) {
    return tell(false, what, error.message)
  }
  tell(validate(document), what, validate.errors)
}

function checkExamples (schema) {
  for (const [folder, name] of [['jobs', 'job'], ['receipts', 'receipt']]) {
    const directory = path.join(top, 'docs', 'examples', folder)
    for (const file of fs.readdirSync(directory)) check(schema(name), fs.readFileSync(path.join(directory, file), 'utf8'), folder + '/' + file)
  }
  const directory = path.join(top, 'docs', 'examples', 'records')
  for (const file of fs.readdirSync(directory)) {
    check(schema(path.basename(file, '.json')), fs.readFileSync(path.join(directory, file), 'utf8'), 'records/' + file)
  }
}

// In contract.md a block is opened with ```json NAME, the schema it obeys.
function checkDocument (schema) {
  const text = fs.readFileSync(path.join(top, 'docs', 'contract.md'), 'utf8')
  let blocks = 0
  for (const [, name, body] of text.matchAll(/^```json *([a-z-]*)\n([^]*?)^```/gm)) {
    blocks++
    tell(schema(name) !== undefined, `contract.md names the schema "${name}"`)
    if (schema(name)) check(schema(name), body, 'contract.md, block ' + blocks)
  }
  tell(blocks >= 8, `contract.md has ${blocks} blocks`)
  for (const name of fs.readdirSync(path.join(top, 'docs', 'schema'))) tell(text.includes('schema/' + name), 'contract.md links ' + name)
}

// Jobs that schema and reachd must both refuse.
const wrongs = [
  ['an unknown member', j => { j.custmer = 1 }], ['no version', j => { delete j.v }], ['version 2', j => { j.v = 2 }],
  ['an unknown type', j => { j.type = 'notise' }], ['no type', j => { delete j.type }], ['an id with a blank', j => { j.id = 'a b' }],
  ['no customer', j => { delete j.customer }], ['an unknown member inside', j => { j.customer.contacts[0].adress = 'x' }],
  ['an unknown channel', j => { j.customer.contacts[0].channel = 'fax' }], ['a number that is not E.164', j => { j.customer.contacts[2].address = '01632' }],
  ['a mailbox without @', j => { j.customer.contacts[0].address = 'ada' }], ['an unknown status', j => { j.customer.contacts[0].status = 'dead' }],
  ['a time without zone', j => { j.effective_at = '2026-12-23T18:00:00' }], ['a duration in months', j => { j.promise = 'P1M' }],
  ['an empty duration', j => { j.promise = 'P' }], ['nothing disabled', j => { j.disables = {} }], ['an empty list disabled', j => { j.disables = { accounts: [] } }],
  ['text in place of an object', j => { j.data = 'x' }], ['a line feed in a name', j => { j.customer.name = 'a\nb' }]
]

function spoiledJobs () {
  const job = JSON.parse(fs.readFileSync(path.join(top, 'docs', 'examples', 'jobs', 'notice.json'), 'utf8'))
  return wrongs.map(([what, spoil], i) => {
    const copy = JSON.parse(JSON.stringify(job))
    copy.id = 'spoiled-' + i
    spoil(copy)
    return [what, copy]
  })
}

// A schema that accepts everything would pass all of the above.
function checkRefusals (schema) {
  const receipt = JSON.parse(fs.readFileSync(path.join(top, 'docs', 'examples', 'receipts', 'by-notice.json'), 'utf8'))
  for (const [what, job] of spoiledJobs()) tell(!schema('job')(job), 'a job with ' + what + ' is refused')
  for (const [what, spoil] of [['a reference and no gateway', r => { r.ref = 'x'; delete r.notice }], ['neither', r => { delete r.notice }], ['an unknown status', r => { r.status = 'read' }]]) {
    const copy = Object.assign({}, receipt)
    spoil(copy)
    tell(!schema('receipt')(copy), 'a receipt with ' + what + ' is refused')
  }
}

const schema = load()
if (process.argv[2] === 'spoiled') {
  for (const [, job] of spoiledJobs()) console.log(JSON.stringify(job))
  process.exit(0)
}
if (process.argv[2] === 'self') {
  checkExamples(schema)
  checkDocument(schema)
  checkRefusals(schema)
} else {
  const lines = fs.readFileSync(0, 'utf8').split('\n').filter(line => line !== '')
  lines.forEach((line, i) => check(schema(process.argv[2]), line, `${process.argv[2]} ${i + 1}`))
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
