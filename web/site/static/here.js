// The window of a bookmark that was pressed on the platform's own page. It hands the request to that page, by message and to that
// origin alone, and the page makes it: there its answer can be read. A pause is made by being asked for from there; a resume asks.
'use strict';
(() => {
  const doc = document, main = doc.querySelector('main'), {action, origin, otherwise} = main.dataset;
  const button = main.querySelector('button'), notice = main.querySelector('.notice'), hero = main.querySelector('.hero');
  const elsewhere = () => location.replace(otherwise); // the page of a link, with its button
  if (!opener) { elsewhere(); return; }

  const api = async (path, body) => {
    const answer = await fetch(path, {
      method: body ? 'POST' : 'GET', keepalive: !!body, credentials: 'same-origin', cache: 'no-store',
      headers: body ? {'Content-Type': 'application/json'} : {}, body: body && JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.detail);
    return said;
  };
  const heard = new Map();
  addEventListener('message', e => {
    if (e.source !== opener || e.origin !== origin || e.data?.source !== 'offrecord') return;
    heard.get(e.data.id + e.data.type)?.(e.data);
  });
  // ask asks the page, and resolves with its answer of that type, or with nothing when it takes too long.
  const ask = (id, type, until, patience, more) => new Promise(done => {
    heard.set(id + until, done);
    opener.postMessage({source: 'offrecord', id, type, ...more}, origin);
    setTimeout(done, patience);
  });

  const route = api('/api/v1/route');
  route.catch(() => {});
  async function act() {
    button.disabled = true;
    notice.textContent = '';
    const id = crypto.randomUUID(), start = performance.now();
    try {
      const {session} = await route;
      const fields = {action, token: session.token};
      const announced = () => api('/api/v1/attempts', {id, action, transport: 'iframe', reason: 'bookmark'});
      let written;
      if (action === 'resume') {
        if ((await announced()).outcome === 'superseded') { await show(id); return; }
      }
      const seen = ask(id, 'do', 'seen', 10000, session.method === 'POST' ? {url: session.url, body: fields} : {url: session.url + '?' + new URLSearchParams(fields)});
      if (action === 'pause') written = announced();
      const answer = await seen;
      await written;
      const kind = answer ? 'status' : 'silence', status = answer?.status;
      const outcome = !status ? 'unknown' : answer.moved || status === 401 || status === 403 ? 'denied' : status < 300 ? 'accepted' : status < 500 ? 'failed' : 'unknown';
      await api(`/api/v1/attempts/${id}/outcome`, {outcome, evidence: {kind, after_ms: Math.round(performance.now() - start), ...status && {http_status: status}}});
      await show(id);
      if (outcome === 'accepted') setTimeout(close, 4000);
    } catch (error) {
      notice.textContent = error.message || 'offrecord could not be reached. Check the network, and try again.';
    }
    button.hidden = button.disabled = false;
  }
  async function show(id) {
    const words = await api('/act/said?id=' + id);
    hero.hidden = false;
    hero.className = 'hero ' + words.state + (words.alarm ? ' alarm' : '');
    hero.dataset.outcome = words.outcome;
    for (const part of ['headline', 'card', 'line']) hero.querySelector('.' + part).textContent = words[part];
    main.dataset.settled = words.outcome;
  }

  button.addEventListener('click', act);
  (async () => {
    if (!await ask('who', 'who', 'here', 1500)) { elsewhere(); return; }
    if (action === 'pause') act();
    else setTimeout(() => { button.disabled = false; }, 800); // not under the second half of a double click
  })();
})();
