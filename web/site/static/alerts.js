// The alerts' page follows the server: what an event says is drawn by the server, and put in place here. Without this script
// the page loads itself again.
'use strict';
(() => {
  const doc = document, count = doc.querySelector('.count');
  const first = new URL(location.href);
  let source, heardAt, stale = false, fetching = false, down = false, said = count.textContent;

  // A document is read without a word of it being run.
  const page = () => new Promise((done, fail) => {
    const r = new XMLHttpRequest();
    r.open('GET', first.pathname + first.search);
    r.responseType = 'document';
    r.timeout = 10000;
    r.onload = () => r.status === 200 && r.response?.body.dataset.page === 'alerts' ? done(r.response) : fail(r.status);
    r.onerror = r.ontimeout = fail;
    r.send();
  });

  function say(text) { if (count.textContent !== text) count.textContent = text; }

  async function refresh() {
    stale = true;
    if (fetching || down) return;
    fetching = true;
    try {
      while (stale && !down) {
        stale = false;
        put(await page());
      }
    } catch (status) {
      if (status === 401 || status === 403) location.reload(); // the log-in ended: the server says what to do
      lost();
      soon(5000);
    } finally { fetching = false; }
  }

  function put(drawn) {
    const was = doc.getElementById('alerts'), is = drawn.getElementById('alerts');
    const control = doc.activeElement?.dataset?.control, inside = was.contains(doc.activeElement);
    doc.title = drawn.title;
    said = drawn.querySelector('.count').textContent;
    if (was.outerHTML !== is.outerHTML) was.replaceWith(doc.adoptNode(is));
    if (inside) (control && doc.querySelector(`[data-control="${CSS.escape(control)}"]`) || doc.getElementById('top')).focus({preventScroll: true});
    if (source?.readyState === EventSource.OPEN) say(said);
  }

  function lost() { say(said + ' Reconnecting: this may be old.'); }

  // Buttons act without leaving the page; if that fails, the form is sent as it is.
  doc.addEventListener('submit', async e => {
    const id = e.target.elements.id?.value;
    if (!id || !e.target.closest('#alerts') || e.target.dataset.plain) return;
    e.preventDefault();
    const button = e.target.querySelector('button');
    button.disabled = true;
    try {
      const answer = await fetch(`/api/v1/alerts/${encodeURIComponent(id)}/ack`, {method: 'POST', credentials: 'same-origin'});
      if (!answer.ok) throw answer.status;
      doc.getElementById('top').focus({preventScroll: true});
      refresh();
    } catch {
      button.disabled = false;
      e.target.dataset.plain = 'yes';
      e.target.requestSubmit();
    }
  });

  // What is pressed isn't taken away before it is let go.
  addEventListener('pointerdown', () => { down = true; }, true);
  for (const type of ['pointerup', 'pointercancel', 'blur']) {
    addEventListener(type, () => setTimeout(() => { down = false; if (stale) refresh(); }, 60), type !== 'blur');
  }

  // One event seldom comes alone, and in a storm of them a person reads no faster.
  let planned, due = Infinity, drawnAt = 0;
  function soon(after) {
    if (Date.now() + after >= due) return;
    clearTimeout(planned);
    due = Date.now() + after;
    planned = setTimeout(() => {
      due = Infinity;
      drawnAt = Date.now();
      refresh();
    }, after);
  }

  // The server's beat comes each five seconds: a stream that is silent for longer is dead.
  function listen() {
    source?.close();
    heardAt = Date.now();
    source = new EventSource('/api/v1/events');
    source.onopen = () => { heardAt = Date.now(); doc.body.dataset.live = ''; refresh(); };
    source.addEventListener('beat', () => { heardAt = Date.now(); });
    source.addEventListener('alert', () => soon(Math.max(100, drawnAt + 1000 - Date.now())));
    source.onerror = () => {
      delete doc.body.dataset.live;
      lost();
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000); // else it is mended by itself
    };
  }
  listen();
  setInterval(() => { if (Date.now() - heardAt > 15000 && source.readyState === EventSource.OPEN) listen(); }, 1000);
  setInterval(refresh, 60000); // the ages
  addEventListener('online', listen);
  addEventListener('pageshow', e => { if (e.persisted) listen(); });
})();
