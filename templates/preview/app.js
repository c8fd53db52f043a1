// The preview page: asks the server for the set and for messages, and shows them. It decides nothing about words itself.
'use strict';

const $ = (id) => document.getElementById(id);
const state = { set: null, notice: null, locale: null, tab: 'email', phone: false, dark: false, data: {}, messages: null, asked: 0 };
const tabs = ['email', 'text', 'sms', 'push', 'banner'];

function make(name, text, attributes = {}) {
  const element = document.createElement(name);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error || answer.statusText);
  return value;
}

const noticeNow = () => state.set.notices.find((n) => n.notice === state.notice);
const localeNow = () => noticeNow()?.locales.find((l) => l.locale === state.locale);

// ---- the list of notices and languages -------------------------------------------------------------------------------
function showNotices() {
  $('notices').replaceChildren(...state.set.notices.map((n) => {
    const item = make('li');
    const button = make('button', n.notice, { type: 'button', 'aria-current': String(n.notice === state.notice), 'data-notice': n.notice });
    button.addEventListener('click', () => choose(n.notice, state.locale));
    item.append(button);
    return item;
  }));
}

function showLocales() {
  const names = new Intl.DisplayNames(['en'], { type: 'language', fallback: 'code' });
  $('locales').replaceChildren(...noticeNow().locales.map((l) => {
    const button = make('button', names.of(l.locale), { type: 'button', 'aria-pressed': String(l.locale === state.locale), 'data-locale': l.locale });
    button.addEventListener('click', () => choose(state.notice, l.locale));
    return button;
  }));
}

function choose(name, locale) {
  const changed = state.notice !== name;
  state.notice = name;
  const notice = noticeNow();
  const has = notice.locales.some((l) => l.locale === locale);
  state.locale = has ? locale : (notice.locales.find((l) => l.locale === state.set.default_locale) || notice.locales[0]).locale;
  $('notice-name').textContent = notice.notice;
  $('severity').textContent = notice.severity;
  $('severity').className = 'chip ' + notice.severity;
  $('description').textContent = notice.description;
  if (changed) showForm();
  location.hash = `${state.notice}/${state.locale}/${state.tab}`;
  showNotices();
  showLocales();
  render();
  showSource();
}

// ---- example data ----------------------------------------------------------------------------------------------------
const surroundings = [
  { name: 'name', label: 'Customer’s name', value: 'Ada Lovelace' },
  { name: 'account', label: 'Account', value: 'ada@walton.example' },
  { name: 'time_zone', label: 'Time zone', value: 'Europe/London' },
];

function field(label, hint, control) {
  const wrap = make('label', null, control.type === 'checkbox' ? { class: 'tick' } : {});
  const text = make('span', label);
  if (hint) text.append(' ', make('small', hint));
  wrap.append(...(control.type === 'checkbox' ? [control, text] : [text, control]));
  return wrap;
}

function variableField(variable, example) {
  const control = variable.type === 'flag' ? make('input', null, { type: 'checkbox' }) : variable.type === 'list' ? make('textarea', null, { rows: '3' })
    : make('input', null, { type: 'text', spellcheck: 'false', autocomplete: 'off' });
  control.dataset.variable = variable.name;
  control.dataset.type = variable.type;
  if (variable.type === 'flag') control.checked = Boolean(example);
  else control.value = Array.isArray(example) ? example.join('\n') : example ?? '';
  return field(variable.name, (variable.required ? '' : 'may be empty. ') + (variable.description || ''), control);
}

function showForm() {
  const notice = noticeNow();
  const fields = notice.variables.map((v) => variableField(v, notice.example[v.name]));
  for (const s of surroundings) {
    const control = make('input', null, { type: 'text', autocomplete: 'off', spellcheck: 'false' });
    control.dataset.around = s.name;
    control.value = s.value;
    fields.push(field(s.label, 'may be empty', control));
  }
  const force = make('input', null, { type: 'checkbox' });
  force.dataset.around = 'in_force';
  fields.push(field('The change has happened', '', force));
  $('data').replaceChildren(...fields);
}

function readForm() {
  const wanted = { notice: state.notice, locale: state.locale, data: {} };
  for (const control of $('data').querySelectorAll('[data-variable]')) {
    const { variable, type } = control.dataset;
    if (type === 'flag') wanted.data[variable] = control.checked;
    else if (control.value === '') continue;
    else if (type === 'list') wanted.data[variable] = control.value.split('\n').filter((line) => line !== '');
    else if (type === 'number' && control.value.trim() !== '' && !Number.isNaN(Number(control.value))) wanted.data[variable] = Number(control.value);
    else wanted.data[variable] = control.value;
  }
  for (const control of $('data').querySelectorAll('[data-around]')) {
    wanted[control.dataset.around] = control.type === 'checkbox' ? control.checked : control.value;
  }
  return wanted;
}

// ---- messages --------------------------------------------------------------------------------------------------------
async function render() {
  const mine = ++state.asked;
  try {
    const messages = await ask('/api/render', readForm());
    if (mine !== state.asked) return;
    state.messages = messages;
    showMessages();
  } catch (error) {
    if (mine === state.asked) problem(error.message);
  }
}

function problem(text) {
  $('problem').hidden = !text;
  $('problem').textContent = text || '';
}

// A frame inherits the page's own light or dark; what the writer chose is put into the style sheet of the mail instead.
function inLook(html) {
  return html.replaceAll('@media (prefers-color-scheme: dark)', state.dark ? '@media all' : '@media not all')
    .replace('color-scheme: light dark', state.dark ? 'color-scheme: dark' : 'color-scheme: light');
}

function bannerPage(message) {
  const tone = { critical: '#a4161a', warning: '#8a5a00', info: '#0b5cad' }[message.severity];
  const ground = state.dark ? 'background:#1c2229;color:#e9edf1' : 'background:#ffffff;color:#1b2430';
  const title = make('h2', message.title, { style: 'margin:0 0 8px;font-size:18px' });
  return `<!DOCTYPE html><html lang="${message.locale}" dir="${message.dir}"><head><meta charset="utf-8"><title>banner</title></head>` +
    `<body style="margin:0;font:16px/1.5 system-ui,sans-serif;${ground}"><div style="border-inline-start:6px solid ${tone};padding:16px 20px;overflow-wrap:anywhere">` +
    `${title.outerHTML}${message.html}</div></body></html>`;
}

function showSms(message) {
  const count = message.count;
  $('bubbles').replaceChildren(make('div', message.text, { class: 'bubble' }));
  const kind = count.ucs2 ? 'with letters outside the GSM alphabet' : 'in the GSM alphabet';
  $('segments').textContent = `${count.segments} ${count.segments === 1 ? 'message' : 'messages'}, ${count.units} of ${count.units_max} characters ${kind}`;
}

// A new frame for each text: changing srcdoc of a frame that is still loading can leave it empty.
function setFrame(id, html) {
  const old = $(id);
  if (old.srcdoc === html) return;
  const frame = old.cloneNode(false);
  frame.srcdoc = html;
  old.replaceWith(frame);
}

const show = {
  email(message) {
    $('mail-from').textContent = message.from || state.set.company;
    $('mail-address').textContent = message.from_address ? `<${message.from_address}>` : '';
    $('mail-reply').hidden = !message.reply_to;
    $('mail-reply-to').textContent = message.reply_to || '';
    $('mail-subject').textContent = message.subject;
    $('mail-preheader').textContent = message.preheader || '';
    setFrame('mail', inLook(message.html));
  },
  text(message) { $('plain').textContent = message.text; },
  sms: showSms,
  push(message) {
    $('push-title').textContent = message.title;
    $('push-text').textContent = message.text;
    $('push-link').textContent = message.link || 'the app';
  },
  banner(message) { setFrame('banner', bannerPage(message)); },
};

function showMessages() {
  if (!state.messages) return;
  const message = state.messages[state.tab === 'text' ? 'email' : state.tab];
  const panel = $('panel-' + state.tab);
  problem(message.error);
  for (const name of tabs) $('panel-' + name).hidden = name !== state.tab || Boolean(message.error);
  if (message.error) return;
  panel.setAttribute('dir', message.dir);
  panel.setAttribute('lang', message.locale);
  for (const id of ['sms-from', 'push-from']) $(id).textContent = state.set.company;
  show[state.tab](message);
}

// ---- views -----------------------------------------------------------------------------------------------------------
function selectTab(name, focus) {
  state.tab = name;
  for (const tab of tabs) {
    const button = $('tab-' + tab);
    button.setAttribute('aria-selected', String(tab === name));
    button.tabIndex = tab === name ? 0 : -1;
  }
  if (focus) $('tab-' + name).focus();
  location.hash = `${state.notice}/${state.locale}/${state.tab}`;
  showMessages();
  showSource();
}

function setLook(look) {
  if (look === 'dark') state.dark = !state.dark;
  else state.phone = look === 'phone';
  const pressed = { desktop: !state.phone, phone: state.phone, dark: state.dark };
  for (const button of $('looks').children) button.setAttribute('aria-pressed', String(pressed[button.dataset.look]));
  $('preview').classList.toggle('phone-look', state.phone);
  showMessages();
}

// ---- checks and source -----------------------------------------------------------------------------------------------
function showFindings() {
  const findings = state.set.findings;
  const errors = state.set.errors;
  $('verdict').className = errors ? 'bad' : 'good';
  $('verdict').textContent = errors ? `${errors} to mend. Until then the last good version keeps serving.`
    : findings.length ? 'Good to go, with advice.' : 'Everything is fine. This version can go live.';
  $('findings').replaceChildren(...findings.map((f) => {
    const item = make('li', null, { class: f.error ? 'error' : 'advice' });
    item.append(make('code', f.line ? `${f.file}, line ${f.line}` : f.file), f.text);
    return item;
  }));
}

async function showSource() {
  const file = `${state.notice}/${state.locale}/${$('tab-' + state.tab).dataset.file}`;
  let text = '';
  try {
    text = (await ask('/api/source?file=' + encodeURIComponent(file))).text;
  } catch (error) {
    text = error.message;
  }
  const about = state.set.findings.filter((f) => f.file === file);
  $('file').textContent = file;
  $('source').replaceChildren(...text.replace(/\n$/, '').split('\n').map((line, index) => {
    const here = about.filter((f) => f.line === index + 1);
    const item = make('li', null, here.length ? { class: here.some((f) => f.error) ? 'error' : 'advice' } : {});
    item.append(make('span', line || ' ', { dir: 'auto' }), ...here.map((f) => make('em', f.text)));
    return item;
  }));
}

// ---- loading and keys ------------------------------------------------------------------------------------------------
async function load() {
  state.set = await ask('/api/set');
  $('company').textContent = state.set.company || 'Messages';
  for (const id of ['mail-from', 'push-from', 'sms-from']) $(id).textContent = state.set.company || '';
  $('status').textContent = state.set.version ? `Version ${state.set.version.slice(0, 12)}` : 'No good version yet';
  showFindings();
  if (!state.set.notices.length) return;
  const [notice, locale, tab] = location.hash.slice(1).split('/');
  const name = state.notice || (state.set.notices.some((n) => n.notice === notice) ? notice : state.set.notices[0].notice);
  if (!state.notice && tabs.includes(tab)) state.tab = tab;
  if (!state.set.notices.some((n) => n.notice === name)) state.notice = null;
  choose(state.set.notices.some((n) => n.notice === name) ? name : state.set.notices[0].notice, state.locale || locale || state.set.default_locale);
  selectTab(state.tab, false);
}

function step(list, now, by) {
  return list[(list.indexOf(now) + by + list.length) % list.length];
}

document.addEventListener('keydown', (event) => {
  if (event.target.closest('input, textarea') || event.ctrlKey || event.metaKey || event.altKey || !state.notice) return;
  const names = state.set.notices.map((n) => n.notice);
  if (event.key === 'j') choose(step(names, state.notice, 1), state.locale);
  else if (event.key === 'k') choose(step(names, state.notice, -1), state.locale);
  else if (event.key === 'l') choose(state.notice, step(noticeNow().locales.map((l) => l.locale), state.locale, 1));
  else if (event.key >= '1' && event.key <= '5') selectTab(tabs[Number(event.key) - 1], false);
});

$('tabs').addEventListener('click', (event) => {
  if (event.target.role === 'tab' || event.target.getAttribute('role') === 'tab') selectTab(event.target.id.slice(4), false);
});
$('tabs').addEventListener('keydown', (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by) selectTab(step(tabs, state.tab, by), true);
});
$('looks').addEventListener('click', (event) => {
  if (event.target.dataset.look) setLook(event.target.dataset.look);
});
$('data').addEventListener('input', render);
$('data').addEventListener('submit', (event) => event.preventDefault());

const changes = new EventSource('/api/changes');
changes.addEventListener('message', (event) => {
  if (event.data === 'changed') load();
});
changes.addEventListener('error', () => { $('status').textContent = 'The server has stopped; waiting for it'; });
load().catch((error) => problem(error.message));
