// What the page does before, beside and without the Go program: native presses that are sent once, the program's start, and
// the native panel's return if the program ends. It has no dependencies and works under a policy without inline script.
'use strict';
(() => {
  const doc = document, html = doc.documentElement;
  const meta = name => doc.querySelector(`meta[name="${name}"]`)?.content;
  const cookie = name => doc.cookie.split('; ').find(c => c.startsWith(name + '='))?.slice(name.length + 1);
  const tpc = (location.protocol === 'https:' ? '__Host-' : '') + 'offrecord_tpc'; // no sister host can set it
  const post = (path, body) => fetch(path, {
    method: 'POST', keepalive: true, credentials: 'same-origin', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body),
  });

  // Third-party cookies: what a sandboxed frame of our own requests is third-party, and the server tells it what came along.
  let probed = false;
  function probe() {
    if (probed) return;
    probed = true;
    const frame = doc.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.hidden = true;
    frame.title = 'Finds out which cookies this browser sends';
    frame.src = '/probe/frame';
    const done = () => { removeEventListener('message', heard); frame.remove(); };
    const heard = e => {
      if (e.source !== frame.contentWindow || e.data?.offrecord !== 'third-party-cookies') return;
      if (e.data.world === 'allowed' || e.data.world === 'blocked') {
        // A frame of another site's page is kept apart with its cookies, and has others than a page of our own.
        const kind = parent !== window ? 'samesite=none; partitioned; secure' : 'samesite=lax' + (location.protocol === 'https:' ? '; secure' : '');
        doc.cookie = `${tpc}=${e.data.world}; path=/; max-age=2592000; ${kind}`;
        doc.dispatchEvent(new Event('offrecord:cookies'));
      }
      done();
    };
    addEventListener('message', heard);
    setTimeout(done, 10000);
    doc.body.append(frame);
  }

  const root = doc.getElementById('panel-root'), plain = doc.body.dataset.page !== 'panel' || !root;
  if (plain || !cookie(tpc)) probe(); // else when the panel stands: the answer may be old, but there is one
  if (plain) return;

  // The program. data-program is loading, running, ended or refused.
  html.dataset.program = 'loading';
  const native = () => root.isConnected;
  const panel = () => root.firstElementChild;
  const reason = why => { if (panel()) panel().dataset.native = why; };
  let why = 'before';

  // What is pressed: the program mounts only when nothing is, and not in the time of a double click on a native button.
  const doubleClick = 600;
  let down = 0, lastPress = -1e9;
  let waiting = [];
  function settle() {
    const since = performance.now() - lastPress;
    const ready = w => !down && since >= w.after;
    const go = waiting.filter(ready);
    waiting = waiting.filter(w => !ready(w));
    go.forEach(w => w.go());
    if (waiting.length && !down) setTimeout(settle, 50);
  }
  const quiet = after => new Promise(go => { waiting.push({after, go}); settle(); });
  const pressed = e => { if (!e.key || e.key === 'Enter' || e.key === ' ') down = 1; };
  // The click comes after the button is let go; a touch's takes a moment.
  const released = e => {
    if (e.type === 'blur' && e.target !== window) return; // focus moved, the pointer is still down
    setTimeout(() => { down = 0; settle(); }, 60);
  };
  for (const type of ['pointerdown', 'keydown']) addEventListener(type, pressed, true);
  for (const type of ['pointerup', 'pointercancel', 'keyup', 'blur']) addEventListener(type, released, true);
  window.offrecordQuiet = () => quiet(doubleClick).then(() => lastPress > 0); // and whether there was a native press

  // A page that gets shorter while it is scrolled moves under the finger, and the second click of a double click would meet
  // another button. So it keeps its height for a moment.
  let steady;
  addEventListener('pointerdown', () => {
    clearTimeout(steady);
    doc.body.style.minHeight = html.scrollHeight + 'px';
    steady = setTimeout(() => { doc.body.style.minHeight = ''; }, 2 * doubleClick);
  }, true);

  // Focus stays on the same control when a panel takes another's place.
  const focused = () => doc.activeElement?.dataset?.control;
  function refocus(control) {
    if (control) doc.querySelector(`[data-control="${CSS.escape(control)}"]`)?.focus({preventScroll: true});
  }

  // What the program will ask for first is asked for while it loads, and can be taken once. Here only the
  // transport counts, and which actions the server carries out itself: they need no window.
  let route = fetch('/api/v1/route', {credentials: 'same-origin', cache: 'no-store'}), configured = 'auto', served = [];
  route.then(r => r.clone().json()).then(r => {
    if (!r.session || r.routes[0] === 'server') served = ['pause', 'resume'];
    else if (r.combine) served = ['resume'];
    configured = r.session?.transport ?? 'iframe';
  }).catch(() => {});
  window.offrecordRoute = () => { const taken = route; route = null; return taken; };

  // Native presses.
  const transport = doc.querySelector('#transport iframe'); // of who presses without this script
  const patience = 14000; // less than the server has: what was seen here is to come before that it heard nothing
  let flying = null; // the press that a hidden frame carries
  const say = text => { const p = root.querySelector('.notice'); if (p) p.textContent = text; };
  const report = (f, outcome, kind) => post(`/api/v1/attempts/${f.id}/outcome`, {outcome, evidence: {kind, after_ms: Math.round(performance.now() - f.at)}})
    .then(refresh, () => {});

  function field(form, name, value) {
    let input = form.querySelector(`input[name="${name}"]`);
    if (!input) {
      input = doc.createElement('input');
      input.type = 'hidden';
      input.name = name;
      form.append(input);
    }
    input.value = value;
  }

  addEventListener('submit', e => {
    const form = e.target, action = form.dataset?.nativeForm;
    if (!action || !root.contains(form) || form.target === '_self') return;
    const now = performance.now();
    if (flying?.action === action && now - flying.at < (flying.done ? doubleClick : patience)) { e.preventDefault(); return; }
    const f = {action, id: crypto.randomUUID(), at: now};
    const popup = !served.includes(action) && (configured === 'popup' || configured !== 'iframe' && cookie(tpc) === 'blocked');
    field(form, 'id', f.id);
    field(form, 'transport', popup ? 'popup' : 'iframe');
    lastPress = now;
    form.target = popup ? 'offrecord-' + action : carrier(f).name;
    if (popup) {
      // The form's own target would open a tab, and nobody could see it close.
      const w = open('about:blank', form.target, 'popup,width=480,height=320');
      if (!w) {
        e.preventDefault();
        say('The browser blocked the small window. Allow pop-ups for this page, then press again.');
        return;
      }
      watch(f, w);
    }
    flying = f;
    listen();
  }, true);

  function watch(f, w) {
    const look = setInterval(() => {
      const late = performance.now() - f.at > patience;
      if (!w.closed && !late && !f.done) return;
      clearInterval(look);
      if (f.done) { w.close(); return; }
      f.done = true;
      if (w.closed) report(f, 'accepted', 'popup_closed'); else report(f, 'unknown', 'popup_open');
    }, 25);
  }

  // A policy that refuses the platform, unlike one that refuses where the platform pointed to, kept the request from leaving.
  doc.addEventListener('securitypolicyviolation', e => {
    const f = flying, directive = e.effectiveDirective;
    if (!f || f.done || !native() || e.disposition !== 'enforce' || !['frame-src', 'child-src', 'form-action'].includes(directive)) return;
    f.done = true;
    const sources = e.originalPolicy.split(';').map(part => part.trim().split(/\s+/)).find(words => words[0] === directive)?.slice(1) ?? [''];
    report(f, sources.every(source => source.startsWith("'")) ? 'failed' : 'unknown', 'csp');
  });

  // A page of our own in the frame is our refusal: nothing went on to the platform.
  const ours = frame => { try { return frame.contentDocument; } catch { return null; } };
  const blank = frame => ours(frame)?.URL === 'about:blank'; // it begins with that, in some browsers with an event

  // carrier attaches the frame of one press. In one that was used before, the browser's Back would send that press again, and so
  // it would on the way back to this page in one of the same name.
  function carrier(f) {
    const frame = transport.cloneNode();
    frame.name += '-' + f.id;
    frame.addEventListener('load', () => {
      if (blank(frame)) return;
      if (!f.done) {
        f.done = true;
        if (ours(frame)) say('Nothing was sent. ' + (ours(frame).querySelector('h1 + p')?.textContent ?? 'Reload this page, and press again.'));
        else report(f, 'sent', 'frame_load');
      }
      frame.remove();
    });
    setTimeout(() => frame.remove(), patience); // what the server carried out answers with nothing
    transport.after(frame);
    return frame;
  }

  // A press that was quicker than this script brought no id, and nobody listened. The server's stream tells which it was.
  let early = false, newest;
  function unheard() {
    early = true;
    reportEarly();
  }
  function reportEarly() {
    const a = newest;
    if (!early || flying || a?.route !== 'session' || a.transport !== 'iframe' || a.outcome) return;
    early = false;
    // As far as this computer's clock can be believed: not to before the page.
    report({id: a.id, at: Math.max(0, performance.now() - Math.max(0, Date.now() - Date.parse(a.requested_at)))}, 'sent', 'frame_load');
  }

  transport?.addEventListener('load', () => { if (!flying && !ours(transport)) unheard(); });

  // What is shown is the present word only while the server is heard. While html has data-word=old the style sheet shows the
  // hero that claims nothing, whoever drew it.
  const shown = () => doc.querySelector('main.panel');
  let doubted; // the stream that the program's panel was drawn from when its word got old
  function doubt() {
    if (!native() && shown()?.dataset.link !== 'live') return; // it claims nothing as it is
    html.dataset.word = 'old';
    doubted = shown()?.dataset.stream;
    age();
  }
  const believe = () => { delete html.dataset.word; };
  // The program takes it from there: it draws a panel that isn't live, or one of a later stream.
  new MutationObserver(() => {
    const {link, stream} = shown()?.dataset ?? {};
    if (!native() && (link !== 'live' || stream !== doubted)) believe();
  }).observe(doc.body, {subtree: true, childList: true, attributeFilter: ['data-link', 'data-stream']});

  // A page that slept, or came back from the browser's memory, knows nothing any more, and its stream may be dead without
  // knowing it. Sleep has no event of its own: a clock that jumps shows it. What is hidden is woken once a minute at least.
  const silence = 12000; // the server's beat comes each five seconds
  let ticked = Date.now(), heardAt = Date.now();
  function slept() {
    ticked = Date.now();
    doubt();
    if (native()) again(); else doc.dispatchEvent(new Event('offrecord:slept'));
  }
  setInterval(() => {
    const gap = Math.abs(Date.now() - ticked);
    ticked = Date.now();
    if (gap > (doc.hidden ? 90000 : 5000)) slept();
    else if (source && heard && Date.now() - heardAt > silence) again();
    age();
  }, 500);
  doc.addEventListener('freeze', doubt);
  doc.addEventListener('resume', slept);
  addEventListener('pagehide', doubt);
  addEventListener('pageshow', e => { if (e.persisted) slept(); });
  doc.addEventListener('visibilitychange', () => { ticked = Date.now(); });

  // The native panel follows the server while there is no program.
  let source = null, fetching = false, stale = false, heard = false, later;
  // The page holds what it was drawn from, so the first word seldom makes a new panel.
  let drawnFrom = JSON.parse(doc.getElementById('view')?.textContent || 'null')?.Snapshot;
  const timeless = snapshot => JSON.stringify({...snapshot, as_of: 0});
  function lost() {
    heard = false;
    if (native()) doubt();
  }
  addEventListener('offline', lost);
  addEventListener('online', again); // a stream may have died without a word
  function again() {
    if (!source) return;
    source.close();
    source = null;
    lost();
    listen();
  }
  function listen() {
    if (source || !native()) return;
    source = new EventSource('/api/v1/events');
    source.onerror = () => {
      lost();
      if (source?.readyState !== EventSource.CLOSED) return; // it is mended by itself
      source = null;
      setTimeout(listen, 5000);
    };
    for (const type of ['state', 'attempt']) source.addEventListener(type, e => {
      heard = true;
      heardAt = Date.now();
      landed(e);
      if (type === 'state' && drawnFrom && timeless(JSON.parse(e.data)) === timeless(drawnFrom)) believe(); else refresh();
    });
    source.addEventListener('beat', () => { heardAt = Date.now(); });
  }
  // age says how old the last word is, in the hero that claims nothing.
  function age() {
    if (html.dataset.word !== 'old' || !native()) return;
    const put = (part, text) => { const e = root.querySelector('.frozen ' + part); if (e && e.textContent !== text) e.textContent = text; };
    const seconds = Math.max(0, Math.round((Date.now() - heardAt) / 1000)), two = n => String(n).padStart(2, '0');
    put('.since', 'last word');
    put('.run', `${seconds < 3600 ? '' : Math.floor(seconds / 3600) + ':'}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)} ago`);
    put('.line', root.querySelector('.frozen .line')?.textContent.replace('This page may be old.', 'Reconnecting.') ?? '');
  }
  // A plain panel says when the time of an open pause will read otherwise.
  function plan() {
    clearTimeout(later);
    const next = +panel()?.dataset.next;
    if (next > 0 && native()) later = setTimeout(refresh, next + 20);
  }
  // What the server carried out answers the frame with nothing at all, so only the server's word ends the press.
  function landed(e) {
    const told = JSON.parse(e.data), a = e.type === 'state' ? told.attempt : told;
    newest = a;
    if (a?.route === 'server' && a.decided_at && a.id === flying?.id) flying.done = true;
    reportEarly();
  }
  async function refresh() {
    stale = true;
    if (fetching || !native()) return;
    fetching = true;
    try {
      while (stale && native()) await draw();
    } catch {} finally { fetching = false; }
  }
  async function draw() {
    stale = false;
    const answer = await fetch('/panel', {credentials: 'same-origin', cache: 'no-store'});
    if (!answer.ok || answer.redirected) return;
    const drawn = new DOMParser().parseFromString(offrecordTrust.html(await answer.text()), 'text/html').body.firstElementChild;
    await quiet(0);
    if (!drawn || !native()) return;
    const control = focused();
    drawn.dataset.native = why;
    drawnFrom = null;
    root.replaceChildren(drawn);
    if (heard) believe();
    age();
    plan();
    refocus(control);
  }

  // stay leaves the page to its native buttons, or gives it back to them.
  function stay(because, state) {
    why = because;
    if (!native()) {
      const control = focused();
      doc.body.firstElementChild.replaceWith(root);
      refocus(control);
    }
    reason(because);
    html.dataset.program = state;
    if (!heard) doubt();
    probe();
    listen();
    refresh();
  }

  if (navigator.userActivation?.hasBeenActive || transport && !ours(transport)) unheard();
  plan();
  setTimeout(() => { if (native() && !heard) doubt(); }, 3000);

  let storage = true;
  try {
    localStorage.setItem('offrecord-probe', '1');
    localStorage.removeItem('offrecord-probe');
  } catch { storage = false; }
  const wasm = meta('offrecord-wasm'), exec = meta('offrecord-exec');
  if (!storage) { stay('no-storage', 'refused'); return; }
  if (typeof WebAssembly !== 'object') { stay('no-wasm', 'refused'); return; }
  if (!wasm || !exec) { stay('load', 'refused'); return; }

  window.goappGetenv = () => ''; // go-app asks for settings; there are none

  // Mounting takes the native root out of the page; it is kept.
  let control;
  addEventListener('focusin', () => { control = focused(); }, true);
  new MutationObserver((_, observer) => {
    if (native()) return;
    observer.disconnect();
    source?.close();
    source = null;
    heard = false;
    believe();
    // go-app looks at every click for a link that it should follow itself. The panel has none, and a press shouldn't wait for it.
    window.onclick = null;
    html.dataset.program = 'running';
    if (doc.activeElement === doc.body) refocus(control);
    setTimeout(probe);
  }).observe(doc.body, {childList: true});

  const script = src => new Promise((yes, no) => {
    const s = doc.createElement('script');
    s.src = offrecordTrust.script(src);
    s.onload = yes;
    s.onerror = () => no(new Error('the loader could not be fetched'));
    doc.head.append(s);
  });
  // It is compiled while its loader is still on the way.
  const compiled = WebAssembly.compileStreaming(fetch(wasm));
  compiled.catch(() => {});
  async function load(go) {
    try {
      return {instance: await WebAssembly.instantiate(await compiled, go.importObject)};
    } catch {
      // A proxy that rewrites the content type is the usual reason.
      return WebAssembly.instantiate(await (await fetch(wasm)).arrayBuffer(), go.importObject);
    }
  }
  (async () => {
    let started = false, go;
    try {
      if (!window.Go) await script(exec); // the page's own is late, or lost
      go = new window.Go();
      const {instance} = await load(go);
      started = true;
      await go.run(instance);
    } catch (error) {
      console.warn('offrecord: the program ended', error);
    }
    if (started) { // what the program listened to, and its timers, would still call it
      go._resume = () => {};
      go._scheduledTimeouts.forEach(id => clearTimeout(id));
      go._scheduledTimeouts.clear();
    }
    stay(started ? 'ended' : 'load', started ? 'ended' : 'refused');
  })();
  listen(); // after what the program needs
})();
