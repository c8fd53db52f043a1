// Compares idna.c with Node's url.domainToASCII (UTS 46 as web browsers do it).
//
//   node idna_oracle.js FILTER      FILTER: the test program whose --filter reads names and prints their A-labels
//
// Names: every code point of Unicode alone and between two letters, and random names out of several scripts with
// joiners, combining marks, digits of other scripts, hyphens, dots of all kinds and A-labels, right and broken.
//
// Where both take a name, the answers must be the same. What we refuse and Node takes must fall in one of the classes below; each
// says why a mail domain is treated more strictly than the host of a URL. We take nothing that Node refuses, except names with
// Arabic letters of Unicode 14, whose direction Node's tables do not know and which it so takes for mixed text.
// Anything else fails.
'use strict';
const punycode = require('punycode');
const url = require('url');
const { execFileSync } = require('child_process');

let seed = 20261121;
function pick(n) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 4294967296) * n);
}

function everyCodePoint(names) {
  for (let c = 0x21; c <= 0x10ffff; c++) {
    if (c < 0xd800 || c > 0xdfff) {
      const s = String.fromCodePoint(c);
      names.push(`a${s}b.example`, `${s}.example`);
    }
  }
}

// Ranges to draw characters from; joiners and marks come often, because their rules look at their neighbours.
const scripts = [
  [0x61, 0x7a], [0x41, 0x5a], [0x30, 0x39], [0xc0, 0x17f], [0x391, 0x3c9], [0x410, 0x44f], [0x5d0, 0x5ea], [0x621, 0x64a],
  [0x660, 0x669], [0x905, 0x939], [0x94d, 0x94d], [0x200c, 0x200d], [0x300, 0x345], [0x591, 0x5bd], [0x3041, 0x30ff],
  [0x4e00, 0x4eff], [0xac00, 0xacff], [0xff01, 0xff5e], [0x1f600, 0x1f64f], [0x10a00, 0x10a40], [0xdf, 0xdf], [0x3c2, 0x3c2],
];

function randomLabel() {
  const two = [scripts[pick(scripts.length)], scripts[pick(scripts.length)]];
  let text = '';
  for (let n = 1 + pick(pick(20) === 0 ? 70 : 7); n > 0; n--) {
    const [from, to] = pick(8) === 0 ? scripts[pick(scripts.length)] : two[pick(2)];
    text += pick(25) === 0 ? '-' : String.fromCodePoint(from + pick(to - from + 1));
  }
  return text;
}

function randomALabel() {
  const right = url.domainToASCII(`${randomLabel()}.x`).split('.')[0];
  const broken = `xn--${Array.from({ length: 1 + pick(8) }, () => 'abcz019-'[pick(8)]).join('')}`;
  const label = pick(2) === 0 && right !== '' ? right : broken;
  return pick(3) === 0 ? label.toUpperCase() : label;
}

function randomNames(names, count) {
  const dots = ['.', '.', '.', '.', '\u3002', '\uff0e', '\uff61', '..'];
  for (let i = 0; i < count; i++) {
    let name = pick(4) === 0 ? randomALabel() : randomLabel();
    for (let n = pick(3); n > 0; n--) {
      name += dots[pick(dots.length)] + (pick(4) === 0 ? randomALabel() : randomLabel());
    }
    names.push(name + (pick(2) === 0 ? '.example' : '') + (pick(10) === 0 ? '.' : ''));
  }
}

// Blocks whose characters are right-to-left or Arabic digits.
const rightToLeft = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

// Why we refuse what Node takes; `theirs` is Node's answer.
const weRefuse = [
  ['a URL ends or is unescaped here; a mail domain has no such character', (name) => /[/?#\\@:%[\]|^<>]/.test(name.normalize('NFKC'))],
  ['not a host name: STD3 leaves letters, digits and hyphens only', (name, theirs) => /[^a-z0-9.-]/.test(theirs)],
  ['an empty label', (name, theirs) => /^\.|\.\./.test(theirs)],
  ['a hyphen at the end of a label', (name, theirs, shown) => /(^|\.)-|-(\.|$)/.test(theirs) || /(^|\.)-|-(\.|$)/.test(shown)],
  ['longer than 63 or 253', (name, theirs) => theirs.replace(/\.$/, '').length > 253 || theirs.split('.').some((l) => l.length > 63)],
  ['an IP address', (name, theirs) => /(^|\.)([0-9]+|0x[0-9a-f]*)\.?$/.test(theirs)],
  ['a single label', (name, theirs) => /^[^.]+\.?$/.test(theirs)],
  ['STD3 again: these decompose to =, < and >', (name, theirs, shown) => /[\u2260\u226e\u226f]/.test(shown)],
  ['a combining mark at the beginning, of which Node knows the older ones only', (name, theirs, shown) => /(^|\.)\p{M}/u.test(shown)],
  ['an A-label that no name encodes to', (name, theirs, shown) => url.domainToASCII(shown) !== theirs],
  ['a joiner where RFC 5892 (A.1, A.2) forbids it; Node looks at the first one only', (name, theirs, shown) => /[\u200c\u200d]/.test(shown)],
  ['right-to-left text against RFC 5893, which Node keeps for some characters only', (name, theirs, shown) => rightToLeft.test(shown)],
];

function reasonToRefuse(name, theirs) {
  const shown = url.domainToUnicode(theirs);
  const row = weRefuse.find(([, test]) => test(name, theirs, shown));
  return row === undefined ? undefined : `refused by us: ${row[0]}`;
}

function reasonToTake(ours) {
  return /[\u0870-\u089f\u08b5\u08c8-\u08d2]/.test(punycode.toUnicode(ours)) ? 'taken by us: Arabic letters of Unicode 14' : undefined;
}

const names = [];
everyCodePoint(names);
randomNames(names, 300000);
const ours = execFileSync(process.argv[2], ['--filter'], { input: `${names.join('\n')}\n`, maxBuffer: 1 << 30 }).toString().split('\n');
const counts = new Map();
let wrong = 0;
let both = 0;
names.forEach((name, i) => {
  const theirs = url.domainToASCII(name);
  if (ours[i] === theirs || `${ours[i]}.` === theirs) {
    both += ours[i] === '' ? 0 : 1;
    return;
  }
  const why = ours[i] === '' ? reasonToRefuse(name, theirs) : theirs === '' ? reasonToTake(ours[i]) : undefined;
  if (why !== undefined) {
    counts.set(why, (counts.get(why) ?? 0) + 1);
  } else if (++wrong <= 20) {
    console.log(`${JSON.stringify(name)} ours ${JSON.stringify(ours[i])} Node's ${JSON.stringify(theirs)}`);
  }
});
console.log(`${names.length} names, ${both} taken by both with the same answer, ${wrong} differences without a reason`);
counts.forEach((n, why) => console.log(`  ${n} ${why}`));
process.exit(wrong === 0 && both > 200000 ? 0 : 1);
