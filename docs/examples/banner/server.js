#!/usr/bin/env node
// A small website that shows reachd's banners: Node.js and ioredis, and what a real website does at the places marked YOURS.
//
//   server.js REDIS [LOGIN-KEY-FILE]       REDIS: unix:/path or host:port; prints its own address
//
// The browser never talks to Redis and never names a notice: what it reports is about the banner that this server shows that customer.
'use strict'
const crypto = require('crypto')
const fs = require('fs')
const http = require('http')
const path = require('path')
const Redis = require('ioredis')

const [, , address, keyFile] = process.argv
const redis = address.startsWith('unix:') ? new Redis({ path: address.slice(5) }) : new Redis(Number(address.split(':')[1]), address.split(':')[0])
const key = keyFile && fs.readFileSync(keyFile, 'utf8').split(/\r?\n/)[0]

// The record to show now: the first that has not run out. reachd puts the most severe first and the others of the same customer behind it.
function current (text) {
  if (text === null) return null
  const record = JSON.parse(text)
  return [record, ...(record.others || [])].find(one => Date.parse(one.until) > Date.now()) || null
}

// What both sides must do alike: ends without blanks, NFKC, lower case, HMAC-SHA-256 with the first line of the key file.
function loginHash (login) {
  const normal = login.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '').normalize('NFKC').toLowerCase()
  return crypto.createHmac('sha256', key).update(normal, 'utf8').digest('hex')
}

// YOURS: who is signed in. Here a cookie says so, which anybody could set.
function customerOf (request) {
  const found = /(?:^|; )customer=([\w.-]+)/.exec(request.headers.cookie || '')
  return found && found[1]
}

// `seen` and `dismissed` are evidence that the customer was told: only a signed-in customer can give it.
async function report (customer, status) {
  const banner = current(await redis.get(`reach:banner:{${customer}}`))
  if (banner) {
    const receipt = { v: 1, notice: banner.notice, customer, status, at: new Date().toISOString() }
    await redis.xadd('reach:receipts', '*', 'receipt', JSON.stringify(receipt))
  }
}

const pages = { '/': 'page.html', '/login': 'login.html', '/banner.js': 'banner.js', '/banner.css': 'banner.css' }
const types = { html: 'text/html', js: 'text/javascript', css: 'text/css' }

async function answer (request, response) {
  const customer = customerOf(request)
  const { pathname } = new URL(request.url, 'http://localhost')
  const send = (status, type, body) => response.writeHead(status, {
    'Content-Type': type + '; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'"
  }).end(body)
  const ours = request.headers['sec-fetch-site'] === undefined || request.headers['sec-fetch-site'] === 'same-origin' // no other site may report
  if (request.method === 'GET' && pages[pathname]) {
    send(200, types[pages[pathname].split('.')[1]], fs.readFileSync(path.join(__dirname, pages[pathname])))
  } else if (request.method === 'GET' && pathname === '/banner' && customer) {
    const banner = current(await redis.get(`reach:banner:{${customer}}`))
    send(200, 'application/json', JSON.stringify(banner && { ...banner, others: undefined }))
  } else if (request.method === 'POST' && ['/banner/seen', '/banner/dismissed'].includes(pathname) && customer && ours) {
    await report(customer, pathname.slice('/banner/'.length))
    send(204, 'text/plain')
  } else if (request.method === 'POST' && pathname === '/login-banner' && key && ours) { // YOURS: limit the rate, as for any guess at a login
    let login = ''
    for await (const part of request) login = (login + part).slice(0, 400)
    send(200, 'application/json', JSON.stringify(current(await redis.get(`reach:login-banner:{${loginHash(login)}}`))))
  } else {
    send(404, 'text/plain', 'not here')
  }
}

http.createServer((request, response) => answer(request, response).catch(() => response.destroy()))
  .listen(Number(process.env.PORT || 0), '127.0.0.1', function () { console.log(`http://127.0.0.1:${this.address().port}/`) })
