// The page of a link. It carries the one button out by the same native forms that work without it, follows what became of it,
// and follows a signed link's pause by itself: the signature is in the address's fragment, which no server is told of.
'use strict';
(() => {
  const doc = document, main = doc.querySelector('main');
  // Out of the address before anything else: a reload, the history or a restored tab must not act again.
  const fragment = location.hash.slice(1);
  if (fragment) history.replaceState(null, '', location.pathname + location.search);
  const form = main.querySelector('form[data-act]');
  if (!form) return; // the log-in comes first, and then the button

  const {action, route, transport} = main.dataset;
  const button = form.querySelector('button'), frame = doc.querySelector('#transport iframe');
  const hero = main.querySelector('.hero'), notice = main.querySelector('.notice');
  const say = text => { notice.textContent = text; };
  const set = (name, value) => {
    let input = form.elements.namedItem(name);
    if (!input) {
      input = doc.createElement('input');
      input.type = 'hidden';
      input.name = name;
      form.append(input);
    }
    input.value = value;
  };

  const opened = opener !== null; // by a script: only then may one close it
  const patience = 14000, lingering = 1500;
  const stale = 'This page may be old. Go to the panel.';
  let flying = null, first = true;
  let shown = null; // what was settled last: the page goes on saying what is so now

  function show(words) {
    hero.hidden = false;
    if (notice.textContent === stale) say('');
    hero.className = 'hero ' + words.state + (words.alarm ? ' alarm' : '');
    hero.dataset.state = words.state;
    hero.dataset.outcome = words.outcome;
    for (const part of ['headline', 'card', 'line']) {
      const p = hero.querySelector('.' + part);
      if (p.textContent !== words[part]) p.textContent = words[part]; // what is the same isn't read out again
    }
    main.querySelector('.nothing-yet')?.remove();
    const title = main.querySelector('h1');
    title.textContent = title.textContent.replace('?', '');
    const lines = (into, tag, texts) => into.replaceChildren(...texts.map(text => Object.assign(doc.createElement(tag), {textContent: text})));
    lines(main.querySelector('.steps'), 'li', words.steps);
    lines(main.querySelector('.remarks'), 'p', words.advice);
    main.querySelector('.make-sure').hidden = !words.alarm;
  }

  // What became of it, and what is so now: as long as the server is heard, and somebody looks.
  let stream = null, looking = false, again = false, heardAt = 0;
  const about = () => flying ?? shown;
  async function look() {
    again = true;
    if (looking || !about()) return;
    looking = true;
    try {
      while (again && about()) {
        again = false;
        const f = about();
        const answer = await fetch('/act/said?id=' + f.id, {credentials: 'same-origin', cache: 'no-store'});
        if (answer.ok) told(f, await answer.json());
      }
    } catch {} finally { looking = false; }
  }
  function follow() {
    if (stream) return;
    stream = new EventSource('/api/v1/events');
    heardAt = Date.now();
    const heard = e => { // of ours: one that nobody has asked for yet isn't known there
      heardAt = Date.now();
      const said = JSON.parse(e.data);
      if (flying ? (said.attempt ?? said).id === flying.id : shown) look();
    };
    for (const type of ['state', 'attempt']) stream.addEventListener(type, heard);
    stream.addEventListener('beat', () => { heardAt = Date.now(); });
    stream.onerror = old;
  }
  function leave() {
    stream?.close();
    stream = null;
  }
  function old() {
    if (flying || !shown || hero.hidden) return;
    hero.hidden = true;
    say(stale);
  }
  doc.addEventListener('visibilitychange', () => {
    if (flying || !shown) return;
    old();
    if (doc.hidden) leave(); else follow(); // a browser has few connections for one server
  });
  setInterval(() => { // the server's beat comes each five seconds
    if (flying || !stream || Date.now() - heardAt < 12000) return;
    leave();
    old();
    follow();
  }, 1000);
  function told(f, words) {
    if (f !== about()) return;
    show(words);
    if (!words.settled || f === shown) return;
    over();
    shown = f;
    if (doc.hidden) leave();
    main.dataset.settled = words.outcome;
    if (words.outcome === 'confirmed' && opened) setTimeout(() => close(), lingering);
  }
  function over() {
    flying = null;
    button.disabled = false;
  }
  // Nothing was sent, or nobody knows of it: the button is there.
  function refused(text) {
    over();
    if (!shown) leave();
    say(text);
    main.dataset.settled = 'refused';
  }

  const report = (f, outcome, kind) => fetch(`/api/v1/attempts/${f.id}/outcome`, {
    method: 'POST', keepalive: true, credentials: 'same-origin', headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({outcome, evidence: {kind, after_ms: Math.round(performance.now() - f.at)}}),
  }).then(async answer => {
    if (answer.ok) { look(); return; }
    refused('Nothing was sent. Go to the panel, and log in again if it asks for it.');
  }).catch(() => {});

  function watch(f, w) {
    const glance = setInterval(() => {
      const late = performance.now() - f.at > patience;
      if (!w.closed && !late && !f.done) return;
      clearInterval(glance);
      if (f.done) return;
      f.done = true;
      if (w.closed) report(f, 'accepted', 'popup_closed'); else report(f, 'unknown', 'popup_open');
    }, 25);
  }

  // A policy that refuses the platform kept the request from leaving.
  doc.addEventListener('securitypolicyviolation', e => {
    const f = flying;
    if (!f || f.done || e.disposition !== 'enforce' || !['frame-src', 'child-src', 'form-action'].includes(e.effectiveDirective)) return;
    f.done = true;
    report(f, 'unknown', 'csp');
  });

  // carrier attaches the frame of one press. In one that was used before, or has its name, the browser's Back would send that press
  // again.
  function carrier(f) {
    const fresh = frame.cloneNode();
    fresh.name += '-' + f.id;
    fresh.addEventListener('load', () => {
      try { if (fresh.contentDocument?.URL === 'about:blank') return; } catch {} // it begins with that
      if (!f.done) {
        f.done = true;
        report(f, 'sent', 'frame_load');
      }
      fresh.remove();
    });
    setTimeout(() => fresh.remove(), patience);
    frame.after(fresh);
    return fresh.name;
  }

  // go carries the form out: signed is a link's proof, and then nobody pressed anything.
  function go(signed) {
    if (flying) return;
    const f = {at: performance.now()};
    // The first is the attempt that the address, or the server, named; a further press is another one.
    if (!first) set('id', crypto.randomUUID());
    first = false;
    f.id = form.elements.namedItem('id').value;
    const to = signed ? '/act/link' : '/act'; // form.action is the field of that name
    form.setAttribute('action', to);
    set('link', signed ?? '');
    say('');
    delete main.dataset.settled;

    if (route === 'server') {
      flying = f;
      button.disabled = true;
      follow();
      fetch(to, {
        method: 'POST', keepalive: true, credentials: 'same-origin', headers: {Accept: 'application/json'}, body: new URLSearchParams(new FormData(form)),
      }).then(async answer => {
        const body = await answer.json();
        if (f !== flying) return;
        if (answer.ok) { told(f, body); return; }
        if (body.code === 'log_unavailable' && action === 'resume') {
          set('without_record', 'yes');
          button.textContent = 'Resume without record';
        }
        refused(body.detail);
      }).catch(() => refused('The server could not be reached. Check the network, and press again.'));
      return;
    }

    const asWindow = transport === 'popup' || transport === 'auto' && doc.cookie.split('; ').includes((location.protocol === 'https:' ? '__Host-' : '') + 'offrecord_tpc=blocked');
    set('transport', asWindow ? 'popup' : 'iframe');
    if (!asWindow) form.target = carrier(f);
    else {
      // Beside this window it can be seen whether the platform closed its own; without a press the browser may refuse it.
      // Nobody else's window has its name: who opened this page may have opened others, and may have named the attempt.
      const name = 'offrecord-' + crypto.randomUUID(), w = open('about:blank', name, 'popup,width=480,height=320');
      if (w) {
        form.target = name;
        watch(f, w);
      } else if (opened) {
        form.target = '_self'; // this window becomes the platform's, which closes it
        form.submit();
        return;
      } else if (signed) {
        form.setAttribute('action', '/act');
        set('link', '');
        say('This browser opens a window for a press only. Press the button, or allow pop-ups for this page.');
        return;
      } else {
        say('The browser blocked the small window. Allow pop-ups for this page, then press again.');
        return;
      }
    }
    flying = f;
    button.disabled = true;
    follow();
    form.submit();
  }

  form.addEventListener('submit', e => {
    e.preventDefault();
    go();
  });

  // A page elsewhere can open this one under a double click's second half. A pause may come of that; a resume may not.
  if (action === 'resume') {
    button.disabled = true;
    const arm = () => setTimeout(() => { button.disabled = flying !== null; }, 800);
    if (doc.visibilityState === 'visible' && !doc.prerendering) arm();
    else doc.addEventListener('visibilitychange', arm, {once: true});
  }

  // A page that the browser loads ahead, because it guesses an address, hasn't been asked for.
  if (fragment && action === 'pause') {
    if (doc.prerendering) doc.addEventListener('prerenderingchange', () => go(fragment), {once: true});
    else go(fragment);
  }
})();
