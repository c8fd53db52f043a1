// The preview page in a real browser. Arguments: the page's address, the directory it shows (a copy, written to), a directory for screenshots,
// the browser's program.
'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { chromium } = require('playwright-core');

const [, , url, words, shots, program] = process.argv;
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const tabs = ['email', 'text', 'sms', 'push', 'banner'];

// What the mail shows now; nothing while its frame is being replaced.
async function mailText(page) {
  try {
    const frame = await (await page.$('#mail')).contentFrame();
    return await frame.evaluate(() => (document.body ? document.body.innerText : ''));
  } catch {
    return '';
  }
}

async function until(what, test) {
  const end = Date.now() + 60000;
  for (;;) {
    if (await test()) return;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((done) => { setTimeout(done, 25); });
  }
}

async function noBarriers(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { iframes: false }));
  assert.deepStrictEqual(found.violations.map((v) => `${v.id}: ${v.nodes[0].target}`), [], `axe-core ${where}`);
}

const steps = {
  async 'shows every channel of a notice'(page) {
    await page.click('[data-notice=mail-password-disabled]');
    await until('the mail', async () => (await mailText(page)).includes('Choose a new password'));
    await page.click('#tab-sms');
    await until('the counter', async () => /^2 messages, \d+ of 306/.test(await page.textContent('#segments')));
    await page.click('#tab-push');
    assert.match(await page.textContent('#push-link'), /^https:\/\/walton\.example\//);
    for (const tab of tabs) {
      await page.click(`#tab-${tab}`);
      await page.screenshot({ path: path.join(shots, `${tab}.png`) });
      await noBarriers(page, tab);
    }
  },
  async 'works with the keyboard alone'(page) {
    await page.keyboard.press('1');
    assert.strictEqual(await page.getAttribute('#tab-email', 'aria-selected'), 'true');
    const before = await page.textContent('#notice-name');
    await page.keyboard.press('j');
    await until('the next notice', async () => (await page.textContent('#notice-name')) !== before);
    await page.keyboard.press('k');
    await until('the notice before', async () => (await page.textContent('#notice-name')) === before);
    await page.focus('#tab-email');
    await page.keyboard.press('ArrowRight');
    assert.strictEqual(await page.evaluate(() => document.activeElement.id), 'tab-text');
    await page.keyboard.press('1');
  },
  async 'shows right-to-left, phone and dark'(page) {
    await page.click('[data-locale=ar]');
    await page.click('[data-look=phone]');
    await page.click('[data-look=dark]');
    await until('the Arabic mail', async () => /[\u0600-\u06ff]/.test(await mailText(page)));
    const frame = await (await page.$('#mail')).contentFrame();
    assert.strictEqual(await frame.evaluate(() => document.documentElement.dir), 'rtl');
    assert.strictEqual(await frame.evaluate(() => getComputedStyle(document.querySelector('.card')).backgroundColor), 'rgb(30, 36, 43)');
    assert.ok((await (await page.$('#mail')).boundingBox()).width <= 376);
    await page.screenshot({ path: path.join(shots, 'arabic-phone-dark.png') });
    await noBarriers(page, 'Arabic');
    await page.click('[data-look=desktop]');
    await page.click('[data-look=dark]');
    await page.click('[data-locale=en]');
  },
  async 'follows the example data'(page) {
    await page.fill('[data-around=name]', 'Grace <b>Hopper</b>');
    await until('the new name', async () => (await mailText(page)).includes('Grace <b>Hopper</b>'));
    await page.fill('[data-variable=reset_url]', 'https://evil.example/');
    await until('the refusal', async () => (await page.textContent('#problem')).includes('not allowed'));
    await page.fill('[data-variable=reset_url]', 'https://walton.example/reset');
    await until('the message again', async () => !(await page.isVisible('#problem')));
  },
  async 'shows who a mail comes from and where answers go'(page) {
    const file = path.join(words, 'mail-password-disabled/en/email.md');
    const good = fs.readFileSync(file, 'utf8');
    assert.strictEqual(await page.textContent('#mail-address'), '');
    assert.ok(!(await page.isVisible('#mail-reply')));
    fs.writeFileSync(file, good.replace('\nsubject:', '\nfrom: Walton Security\nfrom_address: security@walton.example\nreply_to: desk@walton.example\nsubject:'));
    await until('the sender', async () => (await page.textContent('.from')).includes('Walton Security <security@walton.example>'));
    assert.strictEqual(await page.innerText('#mail-reply'), 'Answers go to desk@walton.example');
    await page.screenshot({ path: path.join(shots, 'sender.png') });
    await noBarriers(page, 'with a sender');
    fs.writeFileSync(file, good);
    await until('no sender of its own', async () => (await page.textContent('#mail-address')) === '');
  },
  async 'reloads within a second of saving and puts the finding beside its line'(page) {
    const file = path.join(words, 'mail-password-disabled/en/email.md');
    const good = fs.readFileSync(file, 'utf8');
    const took = [];
    for (const number of ['five', 'four', 'three']) {
      const saved = Date.now();
      fs.writeFileSync(file, good.replace('It takes about two minutes.', `It takes ${number} minutes.`));
      await until('the new words', async () => (await mailText(page)).includes(`${number} minutes`));
      took.push(Date.now() - saved);
    }
    const byHand = Date.now(); // how fast this machine is just now: the same page, loaded anew by hand
    await page.reload();
    await until('the page again', async () => (await mailText(page)).includes('three minutes'));
    const most = Math.max(1000, 5 * (Date.now() - byHand)); // the whole set is checked before it is shown
    assert.ok(Math.min(...took) < most, `it took ${took} ms; by hand a fifth of ${most}`);
    fs.writeFileSync(file, good.replace('It takes about two minutes.', 'It takes {{wrong}} minutes.'));
    await until('the finding', async () => (await page.textContent('#source li.error em').catch(() => '')).includes('unknown variable {{wrong}}'));
    assert.ok((await mailText(page)).includes('three minutes'), 'the last good version stays');
    await page.screenshot({ path: path.join(shots, 'finding.png') });
    await noBarriers(page, 'with a finding');
    fs.writeFileSync(file, good);
    await until('the good words', async () => (await mailText(page)).includes('two minutes'));
  },
};

async function main() {
  const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox'] });
  const page = await browser.newPage({ viewport: { width: 1500, height: 1000 } });
  page.setDefaultTimeout(60000);
  const faults = [];
  page.on('console', (m) => { if (m.type() === 'error') faults.push(m.text()); });
  page.on('pageerror', (e) => faults.push(String(e)));
  page.on('request', (r) => { if (!/^(data:|about:)/.test(r.url()) && !r.url().startsWith(url)) faults.push(`outside: ${r.url()}`); });
  await page.goto(url);
  let failed = 0;
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step(page);
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}: ${error.message}`);
    }
  }
  await browser.close();
  assert.deepStrictEqual(faults, [], 'errors in the page');
  console.log(`${Object.keys(steps).length - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main().catch((error) => { console.error(error.message); process.exit(1); });
