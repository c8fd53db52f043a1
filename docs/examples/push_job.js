#!/usr/bin/env node
// Pushes a job with ioredis, follows what becomes of it, and asks whether an account may be disabled.
//
//   push_job.js ADDRESS JOB.json [ACCOUNT]       ADDRESS: unix:/path or host:port
//
// Exit 0 where the account may be disabled (or none was asked about), 4 where it may not.
'use strict'
const fs = require('fs')
const Redis = require('ioredis')

const ENDS = new Set(['reached', 'stranded', 'expired', 'cancelled', 'resolved', 'duplicate', 'dead'])

function connect (address) {
  if (address.startsWith('unix:')) return new Redis({ path: address.slice(5) })
  const [host, port] = address.split(/:(?=\d+$)/)
  return new Redis({ host, port: Number(port) })
}

// Yields the events of a notice. One stream entry holds a whole batch: its field `events` is a JSON array.
async function * follow (client, last, notice, seconds) {
  const end = Date.now() + seconds * 1000
  while (Date.now() < end) {
    const streams = await client.xread('BLOCK', 1000, 'STREAMS', 'reach:events', last)
    for (const [, entries] of streams || []) {
      for (const [id, fields] of entries) {
        last = id
        const events = JSON.parse(fields[fields.indexOf('events') + 1])
        yield * events.filter(event => event.notice === notice)
      }
    }
  }
}

// Fail closed: only a record means yes. No record, no Redis, no answer: no.
async function mayBeDisabled (client, account) {
  try {
    return await client.get(`reach:clearance:{${account}}`) !== null
  } catch {
    return false
  }
}

async function main (address, path, account) {
  const client = connect(address)
  try {
    const job = JSON.parse(fs.readFileSync(path, 'utf8'))
    const newest = await client.xrevrange('reach:events', '+', '-', 'COUNT', 1)
    await client.xadd('reach:intake', '*', 'job', JSON.stringify(job))
    for await (const event of follow(client, newest.length ? newest[0][0] : '0', job.id, 30)) {
      console.log(JSON.stringify(event))
      if (event.type === 'notice' && ENDS.has(event.state)) break
    }
    if (account === undefined) return 0
    const allowed = await mayBeDisabled(client, account)
    console.log(allowed ? 'may be disabled' : 'must not be disabled')
    return allowed ? 0 : 4
  } finally {
    client.disconnect()
  }
}

main(...process.argv.slice(2)).then(code => { process.exitCode = code })
