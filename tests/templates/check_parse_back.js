// Reads the messages that test_injection --dump wrote (NDJSON, the first value is harmless) and parses each back with parsers that we did not
// write: mailparser for mails, parse5 for a DOM, html-validate for a sample. Whatever the value, the mail has the same header fields and
// parts, the DOM the same elements and attributes, and there are no more links than in the harmless message.
'use strict';

const fs = require('fs');
const readline = require('readline');
const { simpleParser } = require('mailparser');
const parse5 = require('parse5');
const { HtmlValidate } = require('html-validate');

const SAMPLE = 40;
const validator = new HtmlValidate({ extends: ['html-validate:recommended'], rules: { 'no-inline-style': 'off', 'require-sri': 'off', 'long-title': 'off', 'no-trailing-whitespace': 'off', 'doctype-style': 'off', 'missing-doctype': 'off', 'element-required-content': 'off' } });

// Elements and the names of their attributes, in order, and what links lead to.
function shape(html) {
  const elements = [];
  const links = [];
  const walk = (node) => {
    if (node.attrs) {
      elements.push(`${node.tagName} ${node.attrs.map((a) => a.name).join(' ')}`);
      for (const a of node.attrs) if (a.name === 'href' || a.name === 'src') links.push(a.value);
    }
    (node.childNodes || []).forEach(walk);
    if (node.nodeName === '#comment') elements.push('comment');
  };
  walk(parse5.parse(html));
  return { elements: elements.join('\n'), links };
}

const hosts = (links) => links.map((l) => { try { return new URL(l).host; } catch { return `no address: ${l}`; } }).join(' ');
const linksOf = (html) => (html.match(/<a /g) || []).length;

async function shapeOfMail(text) {
  const mail = await simpleParser(text);
  return {
    headers: [...mail.headers.keys()].join(' '),
    attachments: mail.attachments.length,
    lines: mail.text.trimEnd().split('\n').length,
    autoLinks: linksOf(mail.textAsHtml),
    mail,
  };
}

function same(what, got, wanted, line) {
  if (got !== wanted) throw new Error(`${what} differs for the value ${JSON.stringify(line.value)} (${line.channel}):\n${got}\ninstead of\n${wanted}`);
}

async function check(line, harmless, count) {
  if (line.html) {
    const got = shape(line.html);
    const wanted = shape(harmless.html);
    same('the DOM', got.elements, wanted.elements, line);
    same('a link', hosts(got.links), hosts(wanted.links), line);
    if (count % SAMPLE === 0) {
      const report = await validator.validateString(line.html);
      if (!report.valid) throw new Error(`html-validate, value ${JSON.stringify(line.value)}: ${JSON.stringify(report.results[0].messages[0])}`);
    }
  }
  if (line.mail) {
    const got = await shapeOfMail(line.mail);
    const wanted = harmless.parsed;
    for (const key of ['headers', 'attachments', 'lines', 'autoLinks']) same(key, got[key], wanted[key], line);
    same('the subject', got.mail.subject.replace(/\s+/g, ' '), line.subject.replace(/\s+/g, ' '), line);
    same('the HTML part', got.mail.html.trim(), line.html.trim(), line);
  }
}

async function main() {
  const harmless = {};
  let count = 0;
  for await (const text of readline.createInterface({ input: fs.createReadStream(process.argv[2]), crlfDelay: 0 })) {
    const line = JSON.parse(text);
    if (!harmless[line.channel]) {
      harmless[line.channel] = line;
      if (line.mail) line.parsed = await shapeOfMail(line.mail);
    }
    await check(line, harmless[line.channel], count);
    count += 1;
  }
  if (count < Number(process.argv[3])) throw new Error(`only ${count} messages`);
  console.log(`${count} messages parsed back`);
}

main().catch((error) => { console.error(error.message); process.exit(1); });
