// Runs our pages' scripts without a browser, for FuzzMessages: each line that comes in is a message to one of them, each line
// that goes out is what the script made of it. The scripts are the real ones; what is around them answers to everything and
// says what was asked of it.
'use strict';
const vm = require('node:vm'), fs = require('node:fs'), path = require('node:path'), {webcrypto, createHash} = require('node:crypto');

const home = 'https://offrecord.example', crm = 'https://crm.example', platform = 'https://vcc.platform.example';
const id = '11111111-1111-4111-8111-111111111111', challenge = 'A'.repeat(43);
const scripts = Object.fromEntries(['widget', 'signin', 'here', 'embed/v1'].map(name => {
  const file = path.join(__dirname, '../static', name + '.js');
  return [name, new vm.Script(fs.readFileSync(file, 'utf8'), {filename: file})];
}));

// thing is an element, or whatever else is asked for: it has every property, and does nothing.
const thing = (own = {}) => new Proxy(function () {}, {
  get: (_, key) => key in own ? own[key] : key === 'then' ? undefined : key === Symbol.toPrimitive ? () => '' : key === Symbol.iterator ? [][Symbol.iterator] : (own[key] = thing()),
  set: (_, key, value) => { own[key] = value; return true; },
  apply: () => thing(), construct: () => thing(), has: () => true,
});

// pages are what a message may come to. Each says who may speak to it.
const pages = {
  widget: {script: 'widget', search: '?origin=' + encodeURIComponent(crm), from: 'parent', origin: crm,
    begin(page) {
      page.window.offrecordTold(JSON.stringify({state: 'paused', outcome: 'confirmed', action: 'pause', at: 1, live: true, ready: true, holds: ['hand', 'trigger:field.x'], window: [], attempts: []}),
        (action, origin, reason) => { page.did.commands.push({action, origin, reason}); return {id, refused: ''}; });
    }},
  popup: {script: 'signin', search: '?challenge=' + challenge, from: 'opener', origin: home, kind: 'popup', begin() {}},
  frame: {script: 'signin', search: '', from: 'opened', origin: home,
    async begin(page) {
      await new Promise(setImmediate); // the hash of its verifier
      page.window.offrecordSignIn({page: crm}).catch(() => {});
      page.challenge = new URL(page.opened, home).searchParams.get('challenge');
    }},
  here: {script: 'here', search: '?action=pause', from: 'opener', origin: platform, begin() {}},
  loader: {script: 'embed/v1', search: '', from: 'opened', origin: home, begin() {}}, // whose frame is the window called opened
};

async function run({page: name, from, origin, data}) {
  const about = pages[name], did = {requests: [], commands: [], messages: []}, page = {did}, heard = [];
  const peer = who => ({closed: false, location: thing(), postMessage: (said, to) => did.messages.push({to: who, origin: to, text: JSON.stringify(said)})});
  const windows = {parent: peer('parent'), opener: peer('opener'), opened: peer('opened'), other: peer('other')};
  const elements = {
    main: thing({dataset: {action: 'pause', origin: platform, otherwise: '/act?action=pause'}, querySelector: () => thing()}),
    'meta[name="offrecord-origins"]': {content: 'https://other.example ' + crm},
  };
  const answers = {'/api/v1/route': {session: {url: platform + '/AGUI/controlRecording.php', token: 'canary-token', method: 'POST'}}, '/api/v1/links': {items: []}};
  const window = page.window = {
    location: {search: about.search, href: home + '/' + name + about.search, origin: home, protocol: 'https:', replace() {}, reload() {}},
    document: {
      documentElement: thing({dataset: {}}), body: thing({dataset: {page: about.kind ?? name}, getBoundingClientRect: () => ({height: 1})}), hidden: false, cookie: '',
      querySelector: what => elements[what] ?? thing(), querySelectorAll: what => what === 'offrecord-panel' ? [thing()] : [], addEventListener() {},
      createElement: what => thing({contentWindow: what === 'iframe' ? windows.opened : undefined}), activeElement: null, hasFocus: () => true, readyState: 'complete',
      currentScript: {src: home + '/embed/v1.js', dataset: {pauseOn: 'input'}},
      getElementById: () => ({textContent: '{"Agent":"bill@acme.example"}'}),
    },
    fetch: async (at, {method = 'GET', body} = {}) => {
      const {origin, pathname, search} = new URL(at, home + '/widget');
      did.requests.push({method, origin, path: pathname, query: search, body: String(body ?? '')});
      const text = JSON.stringify(answers[pathname] ?? {});
      return {ok: true, status: 200, text: async () => text, json: async () => JSON.parse(text)};
    },
    open: at => { page.opened = at; return windows.opened; },
    addEventListener: (type, fn) => { if (type === 'message') heard.push(fn); }, removeEventListener() {},
    setTimeout: () => 0, clearTimeout() {}, setInterval: () => 0, clearInterval() {}, close() {},
    ResizeObserver: class { observe() {} }, EventSource: class {}, DOMParser: class { parseFromString() { return window.document; } },
    offrecordTrust: {html: x => x, script: x => x}, performance: {now: () => 1}, 
    crypto: {getRandomValues: x => webcrypto.getRandomValues(x), randomUUID: () => webcrypto.randomUUID(), subtle: {digest: async (_, bytes) => createHash('sha256').update(bytes).digest()}},
    CSSStyleSheet: class { replaceSync() {} }, MutationObserver: class { observe() {} }, customElements: {get() {}, define() {}}, HTMLElement: class {}, CustomEvent: class {},
    getComputedStyle: () => thing(), localStorage: thing({getItem: () => ''}), sessionStorage: thing({getItem: () => ''}), requestAnimationFrame() {}, innerWidth: 800, innerHeight: 600,
    URL, URLSearchParams, AbortController, TextEncoder, EventTarget, atob, btoa, console: {},
    parent: windows.parent, opener: windows.opener,
  };
  window.window = window;
  const context = vm.createContext(window);
  scripts[about.script].runInContext(context);
  await about.begin(page);
  const settle = async () => { for (let i = 0; i < 4; i++) await new Promise(setImmediate); };
  await settle();
  for (const kind in did) did[kind].length = 0; // what it does by itself
  page.challenge ??= challenge;
  const e = {source: windows[from], origin, data: JSON.parse(data.replaceAll('CHALLENGE', page.challenge))};
  try { heard.forEach(fn => fn(e)); } catch {} // a message that a script stumbles over is one that it does nothing for
  await settle();
  return {...did, known: from === about.from && origin === about.origin, challenge: page.challenge, moved: vm.runInContext('Object.keys(Object.prototype)', context)};
}

// A promise that nobody waits for is a script's that gave up on a message: nothing was done.
process.on('unhandledRejection', () => {});
require('node:readline').createInterface({input: process.stdin}).on('line', async line => {
  let said;
  try { said = await run(JSON.parse(line)); } catch (error) { said = {thrown: String(error.stack)}; }
  process.stdout.write(JSON.stringify(said) + '\n');
});
