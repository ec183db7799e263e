// What a page of another site can do with a browser, against each target. tried counts the inputs by their way; readable is
// what was seen of an answer, and has to stay empty. Nothing here waits for an answer longer than a moment: what was sent has
// arrived by then, or comes while others are tried.
'use strict';
window.hostile = (() => {
  const tried = {}, readable = [], moment = 300;
  // The ways that differ in what comes along; the others are tried by one of the sites.
  const telling = ['img', 'script', 'frame', 'event stream', 'form', 'form as text', 'form, sandboxed', 'fetch, no-cors', 'fetch, cors, JSON', 'beacon'];
  let thorough = true;
  const count = way => { // whether it is to be tried
    if (!thorough && !telling.includes(way)) return false;
    tried[way] = (tried[way] ?? 0) + 1;
    return true;
  };
  const late = ms => new Promise(done => setTimeout(done, ms));
  const settle = promise => Promise.race([promise, late(moment)]);
  const read = (way, t, what) => readable.push(`${t.name} by ${way}: ${String(what).slice(0, 80)}`);
  const once = (e, add) => settle(new Promise(done => { e.onload = () => done('load'); e.onerror = () => done('error'); add(); }));

  const place = document.createElement('div');
  document.body.append(place);
  const element = (tag, properties) => Object.assign(document.createElement(tag), properties);
  let serial = 0;

  // Whether a window or a frame lets itself be looked into. What stands in it before it has an answer is our own.
  function peek(way, t, w) {
    try { if (w.location.origin === t.home) read(way, t, w.document.body.innerHTML); } catch {}
  }

  async function load(way, t, tag, properties) {
    if (!count(way)) return;
    const e = element(tag, properties);
    const came = await once(e, () => place.append(e));
    if (came === 'load' && ['img', 'script', 'stylesheet'].includes(way)) read(way, t, 'loaded');
    if (e.contentWindow) peek(way, t, e.contentWindow);
    settle(late(moment)).then(() => e.remove());
  }

  async function get(t) {
    const url = t.url, to = encodeURIComponent(url);
    await Promise.all([
      load('img', t, 'img', {src: url}),
      load('img by redirect', t, 'img', {src: `/redirect?code=302&to=${to}`}),
      load('script', t, 'script', {src: url}),
      load('module', t, 'script', {type: 'module', src: url}),
      load('stylesheet', t, 'link', {rel: 'stylesheet', href: url}),
      load('stylesheet by import', t, 'link', {rel: 'stylesheet', href: `/style.css?to=${to}`}),
      load('prefetch', t, 'link', {rel: 'prefetch', href: url}),
      load('preload', t, 'link', {rel: 'preload', as: 'fetch', href: url}),
      load('manifest', t, 'link', {rel: 'manifest', href: url}),
      load('object', t, 'object', {data: url}),
      load('embed', t, 'embed', {src: url}),
      load('frame', t, 'iframe', {src: url}),
      load('frame, sandboxed', t, 'iframe', {sandbox: 'allow-scripts allow-forms allow-popups', src: url}),
      load('frame by redirect', t, 'iframe', {src: `/redirect?code=307&to=${to}`}),
      settle((async () => { if (!count('video')) return; const v = element('video', {src: url, preload: 'auto'}); place.append(v); await settle(new Promise(d => { v.onerror = v.onloadeddata = d; })); v.remove(); })()),
      settle((async () => { if (!count('event stream')) return; const e = new EventSource(url, {withCredentials: true}); await settle(new Promise(d => { e.onerror = d; e.onmessage = m => { read('event stream', t, m.data); d(); }; e.onopen = () => { read('event stream', t, 'open'); d(); }; })); e.close(); })()),
      settle((async () => { if (!count('socket')) return; const w = new WebSocket(url.replace('https:', 'wss:').split('#')[0]); await settle(new Promise(d => { w.onerror = w.onclose = d; w.onopen = () => { read('socket', t, 'open'); d(); }; })); w.close(); })().catch(() => {})),
      settle((async () => { if (!count('worker')) return; try { new Worker(url); read('worker', t, 'made'); } catch {} })()),
      settle((async () => { if (!count('service worker')) return; try { await navigator.serviceWorker.register(url); read('service worker', t, 'registered'); } catch {} })()),
    ]);
  }

  function fetched(way, t, options) {
    if (!count(way)) return;
    return settle(fetch(t.url, {credentials: 'include', ...options}).then(answer => {
      if (answer.type !== 'opaque' && answer.type !== 'opaqueredirect') read(way, t, answer.status);
    }, () => {}));
  }
  function xhr(way, t) {
    if (!count(way)) return;
    return settle(new Promise(done => {
      const r = new XMLHttpRequest();
      r.open(t.method, t.url);
      r.withCredentials = true;
      r.onload = () => { read(way, t, r.responseText); done(); };
      r.onerror = done;
      r.send(t.method === 'GET' ? null : t.form);
    }));
  }

  // A form into a frame, as one that anybody could write.
  async function form(way, t, enctype, fields) {
    if (!count(way)) return;
    const name = 'f' + serial++, frame = element('iframe', {name});
    place.append(frame);
    const f = element('form', {method: 'post', target: name, enctype});
    f.setAttribute('action', t.url);
    for (const [key, value] of fields) f.append(element('textarea', {name: key, value}));
    place.append(f);
    await settle(new Promise(done => { frame.onload = done; HTMLFormElement.prototype.submit.call(f); }));
    peek(way, t, frame.contentWindow);
    f.remove();
    frame.remove();
  }
  const html = text => text.replace(/[&"<>]/g, c => `&#${c.charCodeAt(0)};`);
  const fieldsOf = t => [...new URLSearchParams(t.form)];
  // JSON as a form's text: its one field's name is the body up to a =, its value the rest.
  const asText = t => { const at = t.json.length - 1; return [[t.json.slice(0, at) + ',"x":"', '"}']]; };

  async function post(t) {
    const blob = type => new Blob([type.includes('json') || type === 'text/plain' ? t.json : t.form], {type});
    await Promise.all([
      form('form', t, 'application/x-www-form-urlencoded', fieldsOf(t)),
      form('form as text', t, 'text/plain', asText(t)),
      form('form in parts', t, 'multipart/form-data', fieldsOf(t)),
      form('form by redirect', {...t, url: `/redirect?code=307&to=${encodeURIComponent(t.url)}`}, 'application/x-www-form-urlencoded', fieldsOf(t)),
      load('form, sandboxed', t, 'iframe', {sandbox: 'allow-scripts allow-forms', srcdoc:
        `<form method=post action="${html(t.url)}">${fieldsOf(t).map(([k, v]) => `<input name="${html(k)}" value="${html(v)}">`).join('')}</form><script>document.forms[0].submit()<\/script>`}),
      fetched('fetch, no-cors', t, {method: 'POST', mode: 'no-cors', body: new URLSearchParams(t.form)}),
      fetched('fetch, no-cors, text', t, {method: 'POST', mode: 'no-cors', body: t.json}),
      fetched('fetch, no-cors, keepalive', t, {method: 'POST', mode: 'no-cors', keepalive: true, body: new URLSearchParams(t.form)}),
      fetched('fetch, no-cors, no body', t, {method: 'POST', mode: 'no-cors'}),
      fetched('fetch, cors, JSON', t, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: t.json}),
      fetched('fetch, cors, form', t, {method: 'POST', body: new URLSearchParams(t.form)}),
      load('report of a policy', t, 'iframe', {src: `/report?to=${encodeURIComponent(t.url)}`}),
    ]);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json']) {
      if (count('beacon')) try { navigator.sendBeacon(t.url, blob(type)); } catch {}
    }
    if (!count('ping')) return;
    const a = element('a', {href: '#', ping: t.url});
    place.append(a);
    a.click();
    a.remove();
    if (window.fetchLater) {
      if (count('fetch, later')) try { fetchLater(t.url, {method: 'POST', body: t.form, activateAfter: 0}); } catch {}
    }
  }

  async function attack(t) {
    if (t.method === 'GET') {
      await Promise.all([get(t), fetched('fetch, no-cors', t, {mode: 'no-cors'}), fetched('fetch, cors', t, {}), fetched('fetch, cors, with a header', t, {headers: {Authorization: 'Bearer x'}}), xhr('xhr', t)]);
    } else if (t.method === 'POST') {
      await Promise.all([post(t), xhr('xhr', t)]);
    } else {
      await Promise.all([fetched('fetch, cors', t, {method: t.method}), xhr('xhr', t), form('form', t, 'application/x-www-form-urlencoded', [['_method', t.method]])]);
    }
  }

  // Windows: opened, written to, navigated, asked, and closed, while others are named as ours are.
  async function windows(targets, home) {
    const names = ['offrecord-native', 'offrecord-pause', 'offrecord-resume'].map(name => open('about:blank', name, 'popup'));
    addEventListener('message', e => { if (e.origin === home) readable.push('message ' + JSON.stringify(e.data)); });
    await Promise.all(targets.map(async t => {
      count('window');
      const w = open(t.url, '_blank', 'popup,width=300,height=300');
      if (!w) return;
      await late(2 * moment);
      peek('window', t, w);
      for (const message of [{offrecord: 'third-party-cookies', world: 'allowed'}, {source: 'offrecord', v: 1, id: 1, type: 'pause', payload: {}}, {offrecord: 'mine', challenge: ''}, {action: 'pause'}, 'pause']) {
        count('message to a window');
        try { w.postMessage(message, '*'); } catch {}
      }
      for (let i = 0; i < (w.length ?? 0); i++) {
        count('a frame of a window');
        try { w[i].location = 'about:blank'; } catch {}
        peek('a frame of a window', t, w[i]);
      }
      count('focus, name and place of a window');
      try { w.focus(); w.blur(); w.moveTo(0, 0); } catch {}
      try { w.name = 'offrecord-native'; } catch {}
      count('back in history');
      try { w.location = location.origin + '/'; await late(moment); w.history.back(); await late(moment); } catch {}
      w.close();
    }));
    names.forEach(w => w?.close());
  }

  // What a browser loads ahead.
  function ahead(urls) {
    document.head.append(element('script', {type: 'speculationrules', textContent: JSON.stringify({
      prefetch: [{source: 'list', urls, eagerness: 'immediate'}], prerender: [{source: 'list', urls, eagerness: 'immediate'}]})}));
    urls.forEach(() => { count('prefetch by rule'); count('prerender by rule'); });
  }

  // A form or an address in this window.
  function leave(t) {
    if (t.method === 'GET') { location = t.url; return; }
    const f = element('form', {method: 'post'});
    f.setAttribute('action', t.url);
    for (const [name, value] of fieldsOf(t)) f.append(element('textarea', {name, value}));
    document.body.append(f);
    HTMLFormElement.prototype.submit.call(f);
  }

  return {tried, readable, windows, ahead, leave, attack: (targets, all) => { thorough = all; return Promise.all(targets.map(attack)).then(() => { thorough = true; }); }};
})();
