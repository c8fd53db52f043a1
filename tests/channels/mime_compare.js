// Reads the mails the peer kept with mailparser and compares them with the messages they were made from.
//   node mime_compare.js messages.ndjson PEER_DIR
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { simpleParser } = require('mailparser');

const readLines = (file) => fs.readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));

// How many line ends stand at the very end is not told apart: a mail's text has one where the message had none.
const body = (text) => (text || '').replace(/\n+$/, '');

async function main() {
  const [, , messagesFile, dir] = process.argv;
  const messages = new Map(readLines(messagesFile).map((message) => [message.key, message]));
  let compared = 0;
  for (const entry of readLines(path.join(dir, 'index.ndjson'))) {
    const message = messages.get(entry.key.split('@')[0]);
    const mail = await simpleParser(fs.readFileSync(path.join(dir, entry.file)), { skipTextToHtml: true, skipHtmlToText: true });
    const is = (actual, expected, what) => assert.deepStrictEqual(actual, expected, `${what} of ${message.key}`);
    is(mail.messageId, `<${message.key}@walton.example>`, 'Message-ID');
    is(mail.subject, message.subject, 'Subject');
    is(mail.date.getTime(), message.created_at_ms, 'Date');
    is(mail.from.value, [{ address: message.from_address ?? 'notices@walton.example', name: message.from_name ?? 'Wältön & Söhne' }], 'From');
    is(mail.to.value, [{ address: message.to, name: message.to_name ?? '' }], 'To');
    is(mail.replyTo.value, [{ address: message.reply_to ?? 'help@walton.example', name: '' }], 'Reply-To');
    is(mail.headers.get('auto-submitted'), 'auto-generated', 'Auto-Submitted');
    is(mail.headers.get('content-language'), message.locale, 'Content-Language');
    is(mail.headers.get('content-type').value, message.html === null ? 'text/plain' : 'multipart/alternative', 'Content-Type');
    is(mail.attachments, [], 'attachments');
    is(body(mail.text), body(message.text), 'text');
    is(body(mail.html), body(message.html), 'HTML');
    const known = new Set(['x-envelope-from', 'x-envelope-to', 'received', 'date', 'from', 'to', 'reply-to', 'subject', 'message-id',
      'auto-submitted', 'mime-version', 'content-language', 'content-type', 'content-transfer-encoding']);
    is([...mail.headers.keys()].filter((name) => !known.has(name)), [], 'other header fields');
    compared += 1;
  }
  assert.strictEqual(compared, messages.size, 'number of mails');
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
