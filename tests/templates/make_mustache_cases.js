// Writes a case file in the format of the Mustache specification: 1,200 templates put together from pieces by a fixed pseudo-random
// sequence, with data that has every value they name, and the text that npm mustache makes of them.
//
// Values hold none of / ` = ' : npm mustache escapes these as entities that the specification does not ask for.
'use strict';

const fs = require('fs');
const Mustache = require('mustache');

let seed = 12345;
const random = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % n; };
const pick = (list) => list[random(list.length)];

const data = { a: 'Ada & <b>', b: 'two "quotes"', n: 42, f: 1.5, yes: true, no: false, empty: [], list: ['x', '<y>', 'z'], rows: [{ v: 1 }, { v: 2 }], o: { p: { q: 'deep' } }, nothing: null };
const values = ['{{a}}', '{{{a}}}', '{{&b}}', '{{ n }}', '{{f}}', '{{o.p.q}}', '{{#o}}{{p.q}}{{/o}}', '{{#rows}}{{v}}{{a}},{{/rows}}', '{{#list}}[{{.}}]{{/list}}', '{{! note }}', '{{^no}}n{{/no}}', '{{^empty}}e{{/empty}}',
  '{{#nothing}}x{{/nothing}}', '{{#yes}}{{b}}{{/yes}}', '{{^yes}}x{{/yes}}', 'word', ' ', '<i>&amp;</i>'];
const lines = ['{{#yes}}\nin {{a}}\n{{/yes}}\n', '  {{#rows}}\n  - {{v}}\n  {{/rows}}\n', '{{! alone }}\n', '{{^no}}\nnot\n{{/no}}\n', '{{=<% %>=}}\n<%a%>\n<%={{ }}=%>\n', 'plain\n', '\n', '| {{#list}} {{.}} {{/list}} |\n'];

const tests = [];
for (let i = 0; i < 1200; i += 1) {
  let template = '';
  for (let k = 1 + random(6); k > 0; k -= 1) {
    if (random(3) === 0) template += (template === '' || template.endsWith('\n') ? '' : '\n') + pick(lines);
    else template += pick(values);
  }
  tests.push({ name: `case ${i}`, data, template, expected: Mustache.render(template, data) });
}
fs.writeFileSync(process.argv[2], JSON.stringify({ tests }));
