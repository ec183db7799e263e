// offrecord's loader: what a CRM's page includes. It frames the panel, hands it what the page's triggers and script ask for,
// and keeps declared fields shut until the recording is paused. It depends on nothing, changes nothing of the page that it
// doesn't undo, and never reads what is in a field: which field has the focus is all that it looks at.
(() => {
  'use strict';
  const win = window, doc = document, set = doc.currentScript.dataset, former = win.offrecord, tag = 'offrecord-panel';
  if (former?.v) return; // included twice: the first one stays
  const {origin} = new URL(doc.currentScript.src), ending = new AbortController(), nothing = () => {};
  const on = (target, types, fn) => types.split(' ').forEach(type => target.addEventListener(type, fn, {capture: true, passive: true, signal: ending.signal}));
  const fault = (code, message) => Object.assign(new Error(message), {code});
  const kept = (store, value) => { // a page may be denied its storage
    try { return value === undefined ? win[store].getItem(tag) || '' : win[store].setItem(tag, value); } catch { return ''; }
  };
  const draw = (root, css, ...children) => {
    const sheet = new CSSStyleSheet(); // which a policy for styles lets pass
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
    root.replaceChildren(...children);
  };
  const make = (name, props) => Object.assign(doc.createElement(name), props);
  const move = (el, style) => { for (const side in style) el.style[side] = style[side] + 'px'; };

  // What is said with the frames. One of them is asked: the lead.
  const frames = new Map(), waiting = new Map(), watchers = new Set(); // by window; by id
  let lead, status = {};
  const send = (to, type, payload, id = crypto.randomUUID()) => to.postMessage({source: 'offrecord', v: 1, id, type, payload}, origin);
  const ask = (type, payload, patience = 1e4) => new Promise((yes, no) => {
    const id = crypto.randomUUID();
    waiting.set(id, [type, payload, yes, no]);
    setTimeout(() => {
      waiting.delete(id);
      no(status.signed_in === false ? fault('not_signed_in', 'Sign in to offrecord first.') : fault(lead ? 'timeout' : 'unavailable', 'offrecord did not answer. Make sure yourself.'));
    }, patience);
    ensure();
    if (lead) send(lead, type, payload, id);
  });
  on(win, 'message', ({source, origin: from, data}) => {
    const el = frames.get(source);
    if (!el || from !== origin || data?.source !== 'offrecord' || data.v !== 1) return;
    const {type, payload} = data, first = !frames.has(lead);
    if (first) lead = source;
    if (source === lead && (first || type === 'hello')) waiting.forEach(([type, payload], id) => send(lead, type, payload, id));
    if (type === 'hello') {
      const style = getComputedStyle(el), theme = {};
      for (const name of 'ground sheet ink soft line act on-act focus'.split(' ')) theme[name] = style.getPropertyValue('--offrecord-' + name).trim();
      send(source, type, {theme});
    } else if (type === 'size') {
      el.size(payload.height);
    } else if (type === 'answer') {
      const [,, yes, no] = waiting.get(data.id) ?? [,, nothing, nothing], {error, result} = payload;
      waiting.delete(data.id);
      if (error) no(fault(error.code, error.message)); else yes(result);
    } else if (type === 'open') {
      el.open(true);
    } else if (type === 'pass') {
      passed = true;
      sync();
    } else if (type === 'status') {
      el.say(payload);
      if (source !== lead) return;
      const {state, outcome, confirmed, at} = payload, detail = {state, outcome, confirmed, at}, changed = state !== status.state || outcome !== status.outcome;
      status = payload;
      sync();
      if (!changed) return;
      el.dispatchEvent(new CustomEvent('offrecord:change', {bubbles: true, composed: true, detail}));
      watchers.forEach(fn => fn(detail));
    }
  });

  // The element: in its place, or as a pill that can be moved, by hand and by the arrow keys, and remembers where.
  const join = el => {
    const pill = make('button', {type: 'button', textContent: 'offrecord', ariaExpanded: false}), around = make('div', {ariaLive: 'polite'});
    const frame = make('iframe', {title: 'offrecord: pause the recording', allow: 'autoplay',
      src: `${origin}/widget?` + new URLSearchParams({origin: location.origin, platform: set.platform ?? ''})});
    around.append(pill);
    draw(el.shadowRoot ?? el.attachShadow({mode: 'open'}), `:host{display:block;width:var(--offrecord-width,100%);max-width:100%}
:host([hidden]),div{display:none}
iframe{display:block;width:100%;height:300px;border:0;border-radius:var(--offrecord-radius,12px)}
:host([float]){position:fixed;display:flex;flex-direction:column-reverse;align-items:end;width:auto;right:16px;bottom:16px;z-index:2147483000}
:host([float]) div{display:block}
:host([float]) iframe{width:var(--offrecord-width,22rem);max-width:96vw;max-height:75vh;margin-bottom:8px;box-shadow:0 4px 24px #0006}
:host([float]:not([open])) iframe{visibility:hidden;width:1px;height:1px!important;margin:0 0 -1px}
button{width:13em;height:44px;border:2px solid #fff;border-radius:22px;background:#38404d;color:#fff;font:600 15px system-ui;box-shadow:0 4px 24px #0006;touch-action:none}
button:focus-visible{outline:3px solid #0b57d0;outline-offset:2px}
.recording{background:#991522}.paused,.stopped,.declined{background:#0a5738}`, around, frame);
    frames.set(el.view = frame.contentWindow, el);
    el.size = height => {
      move(frame, {height});
      el.fit();
    };
    el.say = ({state, live, text}) => {
      if (pill.textContent !== text) pill.textContent = text;
      pill.className = live ? state : '';
    };
    let [x, y] = kept('localStorage').split(' ').map(Number), from; // from the right and the bottom
    const place = (right, bottom) => {
      const {width, height} = el.getBoundingClientRect();
      x = Math.max(0, Math.min(right, innerWidth - width));
      y = Math.max(0, Math.min(bottom, innerHeight - height));
      move(el, {right: x, bottom: y});
    };
    el.fit = () => { if (el.hasAttribute('float')) place(y === undefined ? 16 : x, y ?? 16); };
    el.fit();
    const put = (right, bottom) => {
      place(right, bottom);
      kept('localStorage', x + ' ' + y);
    };
    el.open = yes => {
      pill.ariaExpanded = el.toggleAttribute('open', yes);
      el.fit();
    };
    pill.onpointerdown = e => {
      from = [e.clientX, e.clientY, x, y];
      pill.setPointerCapture(e.pointerId);
    };
    pill.onpointermove = e => {
      const [left, top, right, bottom, moved] = from || [], by = [left - e.clientX, top - e.clientY];
      if (e.buttons && (moved || Math.hypot(...by) > 4)) put(right + by[0], bottom + by[1], from[4] = 1);
    };
    pill.onclick = () => {
      if (!from?.[4]) el.open();
      from = 0;
    };
    pill.onkeydown = e => {
      const to = {ArrowLeft: [16, 0], ArrowRight: [-16, 0], ArrowUp: [0, 16], ArrowDown: [0, -16]}[e.key];
      if (!to) return;
      e.preventDefault();
      put(x + to[0], y + to[1]);
    };
  };
  const leave = el => {
    if (!frames.delete(el.view)) return;
    draw(el.shadowRoot, '');
    el.removeAttribute('open');
    el.style.inset = '';
    if (!el.getAttribute('style')) el.removeAttribute('style');
    if (frames.has(lead)) return;
    lead = 0;
    status = {}; // nobody says what is so now
    sync();
    frames.forEach((_, view) => send(view, 'hello', {})); // whoever answers leads
  };
  // A class can't be taken back, so it outlives this script's end, and asks who is there.
  let Panel = customElements.get(tag), ours;
  if (!Panel) {
    customElements.define(tag, Panel = class extends HTMLElement {
      connectedCallback() { Panel.join?.(this); }
      disconnectedCallback() { Panel.leave?.(this); }
    });
  }
  const elements = () => doc.querySelectorAll(tag);
  const ensure = () => { // somebody has to show what is asked for
    if (elements()[0] || !doc.body) return;
    ours = make(tag);
    ours.toggleAttribute('float');
    doc.body.append(ours);
  };

  // What the page's triggers hold. Each has a name of its own in each tab, which the tab's next page goes on with, so that it
  // gives back its own hold and no other's.
  const [tab = crypto.randomUUID().slice(0, 8), ...before] = kept('sessionStorage').split(' ').filter(Boolean), holds = new Map(); // the timer of a release
  const after = set.resumeAfter || '5s';
  const remember = () => kept('sessionStorage', [tab, ...holds.keys()].join(' '));
  const act = (action, name, reason) => {
    const trigger = name + '.' + tab, byWindow = () => {
      // It opens only inside the person's own event, and for the page that the event belongs to.
      const id = crypto.randomUUID(), start = performance.now();
      const w = open(`${origin}/act?${new URLSearchParams({action, id, origin: 'trigger:' + trigger, reason})}#${status.link ?? ''}`, 'offrecord-' + action, 'popup,width=480,height=360');
      return new Promise(go => {
        const look = setInterval(() => {
          const after = performance.now() - start;
          if (w && !w.closed && after < 8e3) return;
          clearInterval(look);
          go(ask('window', {id, action, trigger, seen: w ? w.closed ? 'closed' : 'open' : 'blocked', after: Math.round(after)}, 1e4 - after));
        }, 50);
      });
    };
    if (!/^[a-z0-9][\w-]{0,40}$/.test(name)) throw fault('invalid', 'That is no name.');
    return status.window?.includes(action) ? byWindow() : ask(action, {trigger, reason}).catch(error => {
      if (error.code === 'needs_window') return byWindow();
      throw error;
    });
  };
  const hold = (name, again) => {
    const fresh = again || !holds.has(name) || !status.held; // the agent may have resumed by hand
    clearTimeout(holds.get(name));
    holds.set(name, 0);
    remember();
    if (fresh) act('pause', name, 'card ' + name).catch(nothing);
  };
  const release = name => {
    if (holds.get(name) === 0) {
      holds.set(name, setTimeout(() => {
        holds.delete(name);
        remember();
        passed = 0;
        sync();
        act('resume', name, '').catch(nothing);
      }, parseFloat(after) * (after.endsWith('ms') ? 1 : 1e3)));
    }
  };

  // Focus. That the window lost it, as by alt-tab, ends nothing.
  const kinds = {field: set.pauseOn, frame: set.pauseFrame};
  const kindOf = el => Object.keys(kinds).find(kind => kinds[kind] && el?.matches?.(kinds[kind]));
  const check = () => {
    let el = doc.activeElement;
    while (el?.shadowRoot?.activeElement) el = el.shadowRoot.activeElement;
    for (const name in kinds) {
      if (name === kindOf(el)) holds.get(name) === 0 || hold(name);
      else if (doc.hasFocus() && !wanted) release(name);
    }
  };
  let tabbed, wanted, passed, layer, free;
  on(doc, 'keydown', () => { // which key it was is nobody's business here
    tabbed = 1;
    setTimeout(() => { tabbed = 0; });
  });
  on(doc, 'focusin', e => {
    const [el] = e.composedPath(), last = e.relatedTarget, kind = kindOf(el);
    if (kind) hold(kind);
    else if (wanted && e.target !== layer) stand(); // at another one
    else if (tabbed && last) { // the Tab key moves the focus in its own task, and passes shut fields by
      const precedes = (x, y) => x.compareDocumentPosition(y) & 4, back = precedes(el, last);
      const skipped = [...shut.keys()].filter(x => back ? precedes(el, x) && precedes(x, last) : precedes(last, x) && precedes(x, el));
      tabbed = 0;
      if (skipped[0]) want(back ? skipped.pop() : skipped[0]);
    }
  });
  on(win, 'focusin focusout focus blur', () => setTimeout(check));
  on(doc, 'submit', e => {
    if (set.pauseSubmit && e.target.matches(set.pauseSubmit)) {
      hold('submit');
      release('submit');
    }
  });

  // Routes of a page that changes without loading.
  const paths = (set.pausePath ?? '').split(' ').filter(Boolean).map(path => new RegExp('^' + path.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*') + '$'));
  const route = () => {
    if (!paths.some(path => path.test(location.pathname) || path.test(location.hash))) release('path');
    else if (holds.get('path') !== 0) hold('path');
  };
  if (win.navigation) on(navigation, 'currententrychange', route);
  // What no event tells: a focused field that was taken out, focus that moved from frame to frame, a route without events.
  const timer = setInterval(() => {
    if (paths[0]) route();
    check();
    place();
  }, 100);

  // The guard: declared fields are shut until what is known of the pause is good enough.
  const guarded = 'guard' in set && Object.values(kinds).filter(Boolean).join(), shut = new Map(); // an element: its cover
  const levels = ['attested', 'confirmed', 'accepted', 'sent'].slice(0, {accepted: 3, sent: 4}[set.guard] ?? 2);
  // What is under way once more leaves the fields as they are; and so does a lost connection, until the person has left them.
  const good = () => free = passed || (!status.live ? free && (holds.has('field') || holds.has('frame')) : status.state === 'pausing' ? free : ['paused', 'stopped', 'declined'].includes(status.state) || status.held && status.action === 'pause' && levels.includes(status.outcome));
  const sync = () => {
    if (!guarded || !doc.body) return;
    const now = good() ? [] : [...doc.querySelectorAll(guarded)];
    shut.forEach((cover, el) => {
      if (now.includes(el)) return;
      el.inert = false;
      cover.remove();
      shut.delete(el);
    });
    if (now[0] && !layer?.isConnected) {
      layer = make('offrecord-guard');
      draw(layer.attachShadow({mode: 'open'}), `button{position:fixed;z-index:2147482000;overflow:hidden;padding:0 8px;border:2px solid #8a4b00;border-radius:4px;background:#fff6dc;color:#4a2800;font:600 13px/1.1 system-ui;text-align:left}`);
      doc.body.append(layer);
    }
    for (const el of now) {
      if (el.inert) continue; // by us, or by the page itself
      el.inert = true;
      if (!shut.has(el)) shut.set(el, make('button', {type: 'button', textContent: 'Waiting for the pause', title: 'Press to pause'}));
    }
    layer?.shadowRoot.append(...[...shut.values()].filter(cover => !cover.isConnected));
    place();
    if (wanted && !shut.has(wanted)) {
      wanted.focus();
      stand();
    }
  };
  // want is a person at a shut field. The panel says what is wrong, and knows the way past.
  const stand = el => {
    wanted = el;
    if (lead) send(lead, 'guard', {shut: !!el});
  };
  const want = (el, again) => {
    stand(el);
    shut.get(el)?.focus();
    hold(kindOf(el), again);
  };
  on(doc, 'click', e => {
    const [target] = e.composedPath(), found = [...shut].find(([el, cover]) => {
      const {left, top, right, bottom} = el.getBoundingClientRect(), {clientX: x, clientY: y} = e; // its cover may be late by a moment
      return x > left && x < right && y > top && y < bottom || cover === target || el === target.closest?.('label')?.control;
    });
    if (found) want(found[0], 1);
  });
  const place = () => shut.forEach((cover, el) => {
    const {left, top, width, height} = el.getBoundingClientRect();
    const above = doc.elementsFromPoint(left + width / 2, top + height / 2).find(x => x !== layer && x.localName !== tag);
    cover.hidden = !width || above && !above.contains(el); // something lies over it
    move(cover, {left, top, width, height});
  });
  const seen = new MutationObserver(sync);
  on(win, 'resize', () => frames.forEach(el => el.fit()));
  if (guarded) {
    on(win, 'scroll resize', () => requestAnimationFrame(place));
    seen.observe(doc, {childList: true, subtree: true, attributes: true}); // a framework makes another field of an element that it has
  }

  const calls = {
    pause: ({name = 'code', reason = ''} = {}) => act('pause', name, reason),
    resume: ({name = 'code'} = {}) => act('resume', name, ''),
    identify: token => ask('identify', {token}),
    call: call => ask('call', call),
    ready: () => ask('ready'),
    on: (type, fn) => { watchers.add(fn); },
    off: (type, fn) => { watchers.delete(fn); },
    destroy() {
      ending.abort();
      clearInterval(timer);
      seen.disconnect();
      holds.forEach(clearTimeout);
      passed = 1;
      wanted = 0;
      sync();
      layer?.remove();
      Panel.join = Panel.leave = nothing;
      elements().forEach(leave);
      ours?.remove();
      waiting.forEach(([,,, no]) => no(fault('destroyed', 'offrecord was taken out.')));
      delete win.offrecord;
    },
  };
  const api = win.offrecord = async (name, ...args) => {
    if (!calls[name]) throw fault('invalid', 'offrecord has no ' + name);
    return calls[name](...args);
  };
  api.v = 1;
  former?.q?.forEach(([args, yes, no]) => api(...args).then(yes, no));

  Panel.join = join;
  Panel.leave = leave;
  elements().forEach(join);
  const begin = () => {
    if (guarded || paths[0] || set.pauseOn || set.pauseFrame || set.pauseSubmit) ensure();
    for (const name of before) { // what this tab's page before this one held
      holds.set(name, 0);
      if (name === 'submit') release(name);
    }
    if (paths[0] || holds.has('path')) route();
    sync();
    check();
  };
  if (doc.readyState === 'loading') on(doc, 'DOMContentLoaded', begin); else begin();
})();
