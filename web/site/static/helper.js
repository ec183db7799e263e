// The helper: a window of ours that is kept open, and opens the platform's small window for triggers that come without a click.
'use strict';
(() => {
  const doc = document, verdict = doc.querySelector('.verdict'), done = doc.querySelector('.links');
  const features = 'popup,width=480,height=320', patience = 15000;
  const post = (path, body, signal) => fetch(path, {
    method: 'POST', keepalive: true, signal, credentials: 'same-origin', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body),
  });
  const say = (text, ready) => {
    if (verdict.textContent !== text) verdict.textContent = text;
    verdict.classList.toggle('ready', ready);
  };
  const blocked = 'The browser blocked a window. Allow pop-ups for this page, then try again.';
  let refused = false, allowed = () => {};
  // Whether this browser lets the window open others isn't known before one was: then it is remembered.
  const store = 'offrecord-helper';
  let opens = false, trying = false;
  try { opens = localStorage.getItem(store) === 'opens'; } catch {}
  const opened = () => {
    opens = true;
    try { localStorage.setItem(store, 'opens'); } catch {}
  };
  const connected = () => { if (trying) return; if (opens) say('Ready', true); else say('Connected. Now try a window without a click.', false); };

  // What is asked for is carried out only if it is still wanted: the network may have brought it late, and by then there is another
  // way, or a newer wish. The window opens meanwhile.
  async function act({id, action, origin, reason}) {
    const start = performance.now(), name = 'offrecord-helper-' + action, w = open('about:blank', name, features);
    refused = !w;
    if (w) opened();
    const wanted = await post('/helper/take', {id}, AbortSignal.timeout(2000)).then(answer => answer.json()).then(x => x.wanted, () => false);
    if (!wanted) { w?.close(); return; }
    const report = (outcome, kind) => post(`/api/v1/attempts/${id}/outcome`, {outcome, evidence: {kind, after_ms: Math.round(performance.now() - start)}}).catch(() => {});
    const item = doc.createElement('li');
    item.textContent = `${new Date().toLocaleTimeString()} ${action}${w ? '' : ': the window was blocked'}`;
    done.prepend(item);
    while (done.children.length > 5) done.lastChild.remove();
    if (!w) {
      post('/api/v1/attempts', {id, action, origin, reason, transport: 'popup'}).then(() => report('failed', 'blocked')).catch(() => {});
      say(blocked, false);
      return;
    }
    const form = Object.assign(doc.createElement('form'), {method: 'post', action: '/act', target: name, hidden: true});
    for (const [field, value] of Object.entries({id, action, origin, reason, transport: 'popup'})) {
      form.append(Object.assign(doc.createElement('input'), {type: 'hidden', name: field, value}));
    }
    doc.body.append(form);
    HTMLFormElement.prototype.submit.call(form);
    form.remove();
    const look = setInterval(() => {
      const late = performance.now() - start > patience;
      if (!w.closed && !late) return;
      clearInterval(look);
      if (w.closed) report('accepted', 'popup_closed'); else report('unknown', 'popup_open');
    }, 25);
  }

  doc.querySelector('button').addEventListener('click', () => {
    // More than five seconds after the click, so that the browser doesn't take it for the click's own.
    trying = true;
    say('A window opens in a few seconds. Don’t click.', false);
    setTimeout(() => {
      trying = false;
      const w = open('about:blank', 'offrecord-helper-test', features);
      refused = !w;
      w?.close();
      if (!w) { say(blocked, false); return; }
      opened();
      connected();
      allowed();
    }, 6000);
  });

  (async () => {
    for (let first = true; ;) {
      if (refused) await new Promise(go => { allowed = go; }); // a helper that may open nothing takes nothing from who could
      try {
        const answer = await fetch('/helper/next' + (first ? '?wait=1ms' : ''), {method: 'POST', credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(25000)}); // a dead network says nothing
        if (answer.status === 401) { say('You are signed out. Sign in in the panel, then reload this window.', false); return; }
        if (!answer.ok) throw new Error();
        if (answer.status === 200) act(await answer.json());
        if (!refused) connected();
        first = false;
      } catch {
        first = true; // so that it is said soon when it can
        say('The server can’t be reached. It is asked again.', false);
        await new Promise(go => setTimeout(go, 2000));
      }
    }
  })();
})();
