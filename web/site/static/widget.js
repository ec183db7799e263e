// The widget: the panel in a frame of another company's page. It signs in, hands the page's triggers to the program, and
// tells the page what the panel shows. It talks to one window and one origin: the page that frames it, if that is one of the
// origins that may.
'use strict';
(() => {
  const doc = document, html = doc.documentElement;
  const meta = name => doc.querySelector(`meta[name="offrecord-${name}"]`)?.content;
  const origin = new URLSearchParams(location.search).get('origin');
  const host = parent !== window && (meta('origins') ?? '').split(' ').includes(origin) ? parent : null;
  const tell = (type, payload, id = crypto.randomUUID()) => host?.postMessage({source: 'offrecord', v: 1, id, type, payload}, origin);
  const fault = (code, message) => Object.assign(new Error(message), {code});

  // Who is signed in. A frame's cookie is kept for each site that embeds it; a browser without such cookies leaves the token
  // to this page's memory, and every request of ours then carries it.
  let bearer = '', agent = doc.getElementById('view') ? JSON.parse(doc.getElementById('view').textContent).Agent : '';
  const plain = window.fetch.bind(window), NativeStream = window.EventSource;
  const api = async (path, body, token) => {
    const answer = await (token ? plain : fetch)(path, {
      method: body === undefined ? 'GET' : 'POST', credentials: 'same-origin', cache: 'no-store', keepalive: body !== undefined,
      headers: {...body !== undefined && {'Content-Type': 'application/json'}, ...token && {Authorization: 'Bearer ' + token}},
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    let said = null;
    try { said = text && JSON.parse(text); } catch {}
    if (answer.ok) return said;
    throw fault(answer.status === 401 ? 'not_signed_in' : said?.code ?? 'unavailable', said?.detail ?? 'offrecord answered ' + answer.status + '. Try again.');
  };

  function carry(token) {
    bearer = token;
    const ours = at => new URL(at, location.href).origin === location.origin;
    window.fetch = (at, options = {}) => plain(at, ours(at) ? {...options, credentials: 'omit', headers: {...options.headers, Authorization: 'Bearer ' + bearer}} : options);
    window.EventSource = Stream;
  }

  // Stream is an EventSource that carries the token: the browser's own can't.
  class Stream extends EventTarget {
    static CLOSED = 2;
    readyState = 0;
    #abort = new AbortController();
    #last = '';
    constructor(path) {
      super();
      this.#follow(path);
    }
    close() {
      this.readyState = 2;
      this.#abort.abort();
    }
    #say(type, data) {
      const e = new MessageEvent(type, {data});
      this.dispatchEvent(e);
      this['on' + type]?.(e);
    }
    async #follow(path) {
      while (this.readyState !== 2) {
        try {
          const answer = await fetch(path, {cache: 'no-store', signal: this.#abort.signal, headers: {Accept: 'text/event-stream', ...this.#last && {'Last-Event-ID': this.#last}}});
          if (!answer.ok) {
            this.readyState = 2;
            this.#say('error');
            return;
          }
          this.readyState = 1;
          this.#say('open');
          let rest = '';
          for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
            const {value, done} = await reader.read();
            if (done) break;
            const parts = (rest + value).split('\n\n');
            rest = parts.pop();
            parts.forEach(part => this.#take(part));
          }
        } catch {}
        if (this.readyState === 2) return;
        this.readyState = 0;
        this.#say('error');
        await new Promise(go => setTimeout(go, 1000));
      }
    }
    #take(part) {
      let type = 'message', data = [];
      for (const line of part.split('\n')) {
        const [, field, value] = /^(\w*):? ?(.*)$/.exec(line) ?? [];
        if (field === 'event') type = value;
        if (field === 'data') data.push(value);
        if (field === 'id') this.#last = value;
      }
      if (data.length) this.#say(type, data.join('\n'));
    }
  }

  // adopt begins with a new session: as a cookie if this browser keeps one here, else in memory.
  async function adopt(token) {
    const {email} = await api('/api/v1/me', undefined, token);
    const running = html.dataset.program !== undefined;
    await api('/widget/session', {}, token).catch(() => {});
    const kept = await plain('/widget/session', {credentials: 'same-origin', cache: 'no-store'}).then(answer => answer.json()).catch(() => null);
    if (kept?.email === email) {
      if (running) { location.reload(); return; }
    } else {
      if (running) throw fault('invalid', 'Somebody else is signed in here. Reload the page to change that.');
      carry(token);
    }
    agent = email;
    await draw();
  }

  // draw puts the panel in the place of the sign-in.
  async function draw() {
    const answer = await fetch('/widget' + location.search, {credentials: 'same-origin', cache: 'no-store'});
    const page = new DOMParser().parseFromString(offrecordTrust.html(await answer.text()), 'text/html');
    if (!page.getElementById('panel-root')) {
      say(page.querySelector('.notice')?.textContent || 'The sign-in could not be used here. Sign in again.');
      return;
    }
    doc.body.dataset.page = 'panel';
    doc.body.replaceChildren(...page.body.childNodes);
    const script = doc.createElement('script');
    script.src = offrecordTrust.script(meta('boot'));
    doc.head.append(script);
  }
  const say = text => { const notice = doc.querySelector('.widget-out .notice'); if (notice) notice.textContent = text; };

  // What the page asks for waits until the program is there to be asked.
  let command = null, told = null, link = '', waiting = [], followed = new Map();
  const ready = () => command ? Promise.resolve() : new Promise(go => { waiting.push(go); });
  window.offrecordTold = host && ((text, ask) => {
    told = JSON.parse(text);
    if (!command) {
      command = ask;
      waiting.forEach(go => go());
      waiting = [];
    }
    for (const a of told.attempts ?? []) {
      if (!a.settled && a.outcome !== 'confirmed') continue;
      followed.get(a.id)?.(result(a.outcome));
      followed.delete(a.id);
    }
    if (told.window?.length && !link) {
      linked();
      askHelper();
    }
    status();
  });
  const result = outcome => ({state: told.state, outcome, confirmed: outcome === 'confirmed'});
  const outcomeOf = id => new Promise(go => {
    const a = told.attempts?.find(x => x.id === id);
    if (a && (a.settled || a.outcome === 'confirmed')) go(result(a.outcome)); else followed.set(id, go);
  });

  // What the loader's pill says.
  const words = {recording: '● Recording', pausing: '◌ Pausing…', paused: '❚❚ Paused', resuming: '◌ Resuming…', stopped: '■ Stopped', declined: '■ Declined', idle: 'No call'};
  function status() {
    tell('status', {
      text: agent ? told?.live && words[told.state] || '? Not known' : 'Sign in to offrecord',
      signed_in: !!agent, program: html.dataset.program ?? '', state: told?.state ?? 'unknown', outcome: told?.outcome ?? '', action: told?.action ?? '',
      confirmed: told?.outcome === 'confirmed', at: told?.at ?? Date.now(), live: told?.live ?? false, ready: told?.ready ?? false, because: told?.because ?? [],
      held: told?.holds?.length ?? 0, window: !helper && told?.window || [], link,
    });
  }

  // A pause that needs a window is carried by a signed link of the agent's own. One is made for all of the CRM's triggers.
  const purpose = 'CRM trigger';
  async function linked() {
    link = ' '; // asked for
    try {
      const {items} = await api('/api/v1/links');
      const mine = items.find(x => x.purpose === purpose && !(Date.parse(x.expires_at) < Date.now() + 864e5)) ?? await api('/api/v1/links', {action: 'pause', purpose});
      link = new URL(mine.url).hash.slice(1);
      status();
    } catch { setTimeout(() => { link = ''; }, 30000); }
  }

  // A helper window of the agent's own opens the platform's window without a click.
  let helper = false;
  async function askHelper() {
    const {open} = await api('/widget/helper').catch(() => ({}));
    if (!!open !== helper) {
      html.toggleAttribute('data-helper', helper = !!open);
      status();
    }
    setTimeout(askHelper, 5000);
  }

  // What a page says is looked at before it is taken: nothing gets into an address, or to the program, that no loader of ours
  // says. A page may be let frame the panel, and have a script in it that isn't its own.
  const isText = x => typeof x === 'string';
  const parts = {
    trigger: x => isText(x) && /^[\w.-]{1,64}$/.test(x),
    reason: x => x === undefined || isText(x),
    id: x => isText(x) && /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/.test(x),
    action: x => x === 'pause' || x === 'resume',
    seen: x => x === 'blocked' || x === 'closed' || x === 'open',
    after: Number.isSafeInteger,
    token: isText, call: isText, event: isText,
  };
  const needed = {pause: ['trigger', 'reason'], resume: ['trigger', 'reason'], window: ['id', 'action', 'trigger', 'seen', 'after'], identify: ['token'], call: ['call', 'event']};
  const taken = (type, payload) => {
    const given = Object(payload), wrong = (needed[type] ?? []).find(part => !parts[part](given[part]));
    if (wrong) throw fault('invalid', wrong + ' is missing, or is not what it may be.');
    return given;
  };

  const name = trigger => 'trigger:' + trigger;
  // A resume that didn't work is asked for again, a few times, as long as this trigger holds and wants nothing else: nobody stands
  // there to press it.
  const newest = new Map(), again = 3000, most = 3;
  const act = action => async ({trigger, reason = ''}) => {
    const mine = {};
    newest.set(trigger, mine);
    for (let tries = 1; ; tries++) {
      const said = await once(action, trigger, reason);
      if (action !== 'resume' || said.outcome !== 'failed' || tries === most) return said;
      await new Promise(go => setTimeout(go, again));
      if (newest.get(trigger) !== mine || !told.holds?.includes(name(trigger))) return said;
    }
  };
  const once = async (action, trigger, reason) => {
    await ready();
    const {id, refused} = command(action, name(trigger), reason);
    if (refused === 'window' && helper) {
      const id = crypto.randomUUID();
      if (await api('/widget/helper', {id, action, origin: name(trigger), reason}).then(() => true, () => { helper = false; status(); })) return outcomeOf(id);
    }
    if (refused === 'window') throw fault('needs_window', 'The platform takes this only from a window of its own.');
    return refused ? result('superseded') : outcomeOf(id);
  };

  let standing;
  const handle = {
    hello({theme}) {
      for (const [property, value] of Object.entries(theme ?? {})) {
        if (/^[a-z-]{2,12}$/.test(property) && CSS.supports('color', value)) html.style.setProperty('--' + property, value);
      }
      status();
    },
    // Whether somebody stands at a field that the page keeps shut. A pause that works opens it before anybody reads of it.
    guard({shut}) {
      clearTimeout(standing);
      const section = doc.querySelector('.guard');
      if (!shut || !section) { if (section) section.hidden = true; return; }
      standing = setTimeout(() => {
        section.hidden = false;
        tell('open');
      }, 700);
    },
    async ready() {
      await ready();
      return result(told.outcome);
    },
    pause: act('pause'),
    resume: act('resume'),
    async identify({token}) {
      let sub = '';
      try { sub = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).sub; } catch {}
      if (agent && sub && sub.toLowerCase() === agent.toLowerCase()) return {};
      const {access_token} = await api('/api/v1/login/embed', {token});
      await adopt(access_token);
      return {};
    },
    call: ({call, event}) => api('/api/v1/calls', {call, event}).then(() => ({})),
    // What the page saw of a window that it opened for a trigger. It can only be what is known of any window.
    async window({id, action, trigger, seen, after}) {
      await ready();
      const evidence = {after_ms: after};
      if (seen === 'blocked') await api('/api/v1/attempts', {id, action, transport: 'popup', origin: name(trigger)});
      const [outcome, kind] = {blocked: ['failed', 'blocked'], closed: ['accepted', 'popup_closed'], open: ['unknown', 'popup_open']}[seen];
      await api(`/api/v1/attempts/${id}/outcome`, {outcome, evidence: {...evidence, kind}}).catch(error => { if (seen === 'blocked') throw error; });
      return outcomeOf(id);
    },
  };

  addEventListener('message', async e => {
    if (!host || e.source !== host || e.origin !== origin) return;
    const {source, v, id, type, payload} = e.data ?? {};
    if (source !== 'offrecord' || v !== 1 || typeof id !== 'string' || typeof type !== 'string' || !Object.hasOwn(handle, type)) return;
    try {
      const said = await handle[type](taken(type, payload));
      if (said) tell('answer', {result: said}, id);
    } catch (error) {
      tell('answer', {error: {code: error.code ?? 'unavailable', message: error.code ? error.message : 'offrecord could not be reached. Check the network, and try again.'}}, id);
    }
  });

  // A press before the program, with a session that no form can carry, is made when the program is there.
  addEventListener('submit', e => {
    if (!bearer || html.dataset.program === 'running') return;
    e.preventDefault();
    e.stopImmediatePropagation();
    const control = e.submitter?.dataset.control;
    ready().then(() => doc.querySelector(`[data-control="${control}"]`)?.click());
  }, true);

  addEventListener('click', async e => {
    const what = e.target.closest?.('[data-widget]')?.dataset.widget;
    if (what === 'out') {
      await fetch('/widget/logout', {method: 'POST', credentials: 'same-origin'}).catch(() => {});
      location.reload();
    }
    if (what === 'in') signIn();
    if (what === 'pass') {
      const form = doc.querySelector('.guard form');
      form.hidden = false;
      form.elements.reason.focus();
    }
  });

  // The way past the guard. It is written down first; where the server is away, the browser is told to go on with it.
  addEventListener('submit', async e => {
    if (!e.target.closest?.('.guard')) return;
    e.preventDefault();
    const reason = e.target.elements.reason.value.trim(), notice = e.target.querySelector('.small');
    try {
      await api('/widget/pass', {reason});
    } catch (error) {
      if (error.code) { notice.textContent = error.message; return; }
      const again = setInterval(() => api('/widget/pass', {reason}).then(() => clearInterval(again), () => {}), 5000);
    }
    e.target.reset();
    e.target.hidden = doc.querySelector('.guard').hidden = true;
    tell('pass');
  });

  // signIn signs in in a window of its own, which hands the session to this frame.
  let leaving = null;
  async function signIn() {
    leaving?.abort();
    leaving = new AbortController();
    try {
      const {access_token} = await offrecordSignIn({page: host ? origin : '', say, code: typed, stop: leaving.signal});
      await adopt(access_token);
    } catch (error) { say(error.message); }
  }
  // The window's code, where a page on the way has cut its tie to this frame.
  const typed = wrong => new Promise(go => {
    const form = doc.querySelector('.widget-out form');
    form.hidden = false;
    say(wrong ? 'That was another code. Type the one that the small window shows.' : 'Type the code that the small window shows.');
    form.elements.code.focus();
    form.onsubmit = e => {
      e.preventDefault();
      go(form.elements.code.value.trim());
    };
  });

  if (!host) return;
  html.dataset.embedded = '';
  // As tall as its content, wherever the page puts it.
  let height = 0;
  new ResizeObserver(() => {
    const now = Math.ceil(doc.body.getBoundingClientRect().height);
    if (now && now !== height) tell('size', {height: height = now});
  }).observe(doc.body);
  tell('hello', {signed_in: !!agent});
})();
