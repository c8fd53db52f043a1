// The same words through npm mustache + marked (words to HTML) and nodemailer's MailComposer (the mail). The best of five runs counts.
'use strict';

const fs = require('fs');
const Mustache = require('mustache');
const { marked } = require('marked');
const MailComposer = require('nodemailer/lib/mail-composer');

const words = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const MESSAGES = 2000;
const view = (i) => ({ name: `Ada ${i}`, in_force: true, account: 'a••@walton.example', reset_url: 'https://walton.example/reset', expires_at: '31 January 2027 at 00:00 GMT',
  case: 'case <&>', company: 'Walton', lang: 'en', dir: 'ltr', subject: 'Choose a new password for your Walton mailbox', preheader: 'Nothing in it is lost.', check: 'Type walton.example/security yourself.' });

// What this pair does: values go into Markdown before Markdown is read. It is quick to write and not safe; the cost is what is compared.
function render(i) {
  const values = view(i);
  const text = Mustache.render(words.mail, values);
  return { text, html: Mustache.render(words.layout, { ...values, content: marked.parse(text) }) };
}

const compose = (i) => new Promise((resolve, reject) => {
  const { text, html } = render(i);
  const mail = new MailComposer({ from: 'Walton <security@walton.example>', to: 'ada@example.org', subject: 'Choose a new password', text, html });
  mail.compile().build((error, message) => (error ? reject(error) : resolve(message.length)));
});

async function best(step) {
  let least = Infinity;
  for (let run = 0; run < 5; run += 1) {
    const before = process.cpuUsage();
    for (let i = 0; i < MESSAGES; i += 1) await step(i);
    const used = process.cpuUsage(before);
    least = Math.min(least, (used.user + used.system) / MESSAGES);
  }
  return least;
}

(async () => {
  console.log(`npm mustache + marked              ${(await best(async (i) => render(i))).toFixed(2)} us`);
  console.log(`  and nodemailer's MailComposer    ${(await best(compose)).toFixed(2)} us`);
})();
