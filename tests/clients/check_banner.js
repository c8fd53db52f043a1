// The website of docs/examples/banner in a real browser. Arguments: its address, a directory for screenshots, the browser's program.
// Customer ada's banner is looked at, amal's (Arabic) is put away, and ada's login is typed into the login page.
'use strict'
const assert = require('assert')
const fs = require('fs')
const path = require('path')
const { chromium } = require('playwright-core')

const [, , url, shots, program] = process.argv
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

async function until (what, test) {
  const end = Date.now() + 15000
  while (!await test()) {
    if (Date.now() > end) throw new Error('waited in vain: ' + what)
    await new Promise(resolve => { setTimeout(resolve, 25) })
  }
}

async function noBarriers (page, where) {
  await page.evaluate(axe)
  const found = await page.evaluate(() => axe.run(document))
  assert.deepStrictEqual(found.violations.map(v => `${v.id}: ${v.nodes[0].target}`), [], 'axe-core ' + where)
}

// A page of a customer (null: nobody is signed in); `posts` gets what it reports.
async function open (browser, customer, where, posts, faults) {
  const context = await browser.newContext({ viewport: { width: 900, height: 600 } })
  if (customer) await context.addCookies([{ name: 'customer', value: customer, url }])
  const page = await context.newPage()
  page.on('console', m => { if (m.type() === 'error') faults.push(m.text()) })
  page.on('pageerror', e => faults.push(String(e)))
  page.on('request', r => {
    if (!r.url().startsWith(url)) faults.push('outside: ' + r.url())
    if (r.method() === 'POST') posts.push(new URL(r.url()).pathname)
  })
  await page.goto(url + where)
  return page
}

const steps = {
  async 'shows the banner, safe and accessible, and tells that it was seen' (browser, faults) {
    const posts = []
    const page = await open(browser, 'ada', '', posts, faults)
    await page.waitForSelector('.banner')
    assert.ok(await page.isVisible('.banner'))
    assert.strictEqual(await page.textContent('.banner h2'), 'Your mailbox needs a new password')
    assert.strictEqual(await page.getAttribute('.banner', 'lang'), 'en')
    assert.match(await page.getAttribute('.banner a', 'href'), /^https:\/\/walton\.example\//)
    assert.strictEqual(await page.locator('.banner b, .banner script, .banner [style], .banner [onclick]').count(), 0)
    await noBarriers(page, 'signed in')
    await page.screenshot({ path: path.join(shots, 'banner.png') })
    await page.emulateMedia({ colorScheme: 'dark' })
    await noBarriers(page, 'dark')
    await page.screenshot({ path: path.join(shots, 'banner-dark.png') })
    await until('the receipt', () => posts.includes('/banner/seen'))
    assert.deepStrictEqual(posts, ['/banner/seen'], 'once')
  },
  async 'reads from right to left and is put away with the keyboard' (browser, faults) {
    const posts = []
    const page = await open(browser, 'amal', '', posts, faults)
    await page.waitForSelector('.banner')
    assert.strictEqual(await page.evaluate(() => getComputedStyle(document.querySelector('.banner')).direction), 'rtl')
    await noBarriers(page, 'Arabic')
    await page.screenshot({ path: path.join(shots, 'banner-arabic.png') })
    await page.focus('.banner button')
    await page.keyboard.press('Enter')
    await until('it is gone', async () => await page.locator('.banner').count() === 0)
    await until('the receipt', () => posts.includes('/banner/dismissed'))
  },
  async 'shows the login page what it may and reports nothing' (browser, faults) {
    const posts = []
    const page = await open(browser, null, 'login', posts, faults)
    await page.fill('#login', ' Nobody@Walton.Example')
    await page.keyboard.press('Tab')
    await until('the question', () => posts.length === 1)
    assert.strictEqual(await page.locator('.banner').count(), 0)
    await page.fill('#login', 'ADA@Walton.Example ')
    await page.keyboard.press('Tab')
    await page.waitForSelector('.banner')
    assert.strictEqual(await page.textContent('.banner h2'), 'There is a message from Walton for you')
    assert.doesNotMatch(await page.textContent('.banner'), /ada|mailbox/i)
    await noBarriers(page, 'login')
    await page.screenshot({ path: path.join(shots, 'login.png') })
    assert.deepStrictEqual(posts, ['/login-banner', '/login-banner'])
  },
  async 'shows nothing to a customer without a banner' (browser, faults) {
    const posts = []
    const page = await open(browser, 'zoe', '', posts, faults)
    await page.waitForLoadState('networkidle')
    assert.strictEqual(await page.locator('.banner').count(), 0)
    assert.deepStrictEqual(posts, [])
  }
}

async function main () {
  const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox'] })
  const faults = []
  let failed = 0
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step(browser, faults)
      console.log('ok ' + name)
    } catch (error) {
      failed++
      console.log(`FAILED ${name}: ${error.message}`)
    }
  }
  await browser.close()
  assert.deepStrictEqual(faults, [], 'errors in the page')
  process.exit(failed ? 1 : 0)
}

main().catch(error => { console.error(error.message); process.exit(1) })
