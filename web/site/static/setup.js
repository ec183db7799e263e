// The setup page: it tests this browser, keeps the agent's links, and writes the snippet for a CRM's page.
'use strict';
(() => {
  const doc = document, main = doc.querySelector('main'), {session, server} = main.dataset;
  const byCookie = session === 'true', byServer = server === 'true';
  const make = (name, props = {}, ...children) => {
    const el = Object.assign(doc.createElement(name), props);
    el.append(...children);
    return el;
  };
  const api = async (path, method = 'GET', body) => {
    const answer = await fetch(path, {
      method, credentials: 'same-origin', cache: 'no-store', headers: body ? {'Content-Type': 'application/json'} : {}, body: body && JSON.stringify(body),
    });
    const said = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) throw new Error(said.detail);
    return said;
  };
  const lost = 'offrecord could not be reached. Check the network, and try again.';
  const copy = (text, button) => navigator.clipboard.writeText(text).then(() => {
    const was = button.textContent;
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = was; }, 1500);
  }, () => {});

  // The test. A window opens only inside the press, so that comes first.
  async function test() {
    const checks = main.querySelector('.checks'), verdict = main.querySelector('.verdict'), mend = [];
    checks.hidden = false;
    checks.replaceChildren();
    verdict.className = 'verdict';
    verdict.textContent = '';
    const say = (kind, what, text) => {
      checks.append(make('li', {className: kind}, make('span', {}, make('span', {className: 'what', textContent: what + '. '}), text)));
      if (kind === 'bad') mend.push(text);
    };
    let w = null;
    if (byCookie) {
      w = open('about:blank', 'offrecord-test', 'popup,width=480,height=320');
      w?.close();
    }
    let route, state;
    try {
      const {email} = await api('/api/v1/me');
      say('good', 'Session', `You are signed in as ${email}.`);
      [route, state] = await Promise.all([api('/api/v1/route'), api('/api/v1/state')]);
    } catch (error) {
      say('bad', 'Session', error instanceof TypeError ? lost : error.message);
    }
    const blocked = doc.cookie.split('; ').includes((location.protocol === 'https:' ? '__Host-' : '') + 'offrecord_tpc=blocked'), transport = route?.session?.transport, served = route?.actions.includes('pause');
    const window_ = transport === 'popup' || transport === 'auto' && blocked;
    if (route && !byCookie) {
      say('aside', 'Cookies', 'Not needed: the server asks the platform.');
      say('aside', 'Pop-ups', 'Not needed.');
    } else if (route) {
      if (transport === 'iframe' && blocked && !served) say('bad', 'Cookies', 'This browser keeps the platform’s cookie back, and the account is set to hidden frames. Ask your administrator for transport: auto.');
      else say(blocked ? 'aside' : 'good', 'Cookies', blocked ? 'This browser keeps third-party cookies back, so a small window carries each press.' : 'This browser sends the platform’s cookie with a hidden frame.');
      if (w) say('good', 'Pop-ups', 'A press can open the small window.');
      else say(window_ && !served ? 'bad' : 'aside', 'Pop-ups', 'The browser blocked the small window. Allow pop-ups for this site.');
      say('aside', 'Platform', 'Whether you are signed in to it can’t be seen from here. Sign in to it in this browser.');
    }
    if (route) {
      const wrong = state.ready === false && state.not_ready_because;
      if (wrong) say('bad', 'Server', wrong);
      else say(served ? 'good' : 'aside', 'Server', served ? 'The server can ask the platform, too.' : 'This account has no server route, so nothing is ever confirmed.');
    }
    let storage = true;
    try { localStorage.setItem('offrecord-probe', '1'); localStorage.removeItem('offrecord-probe'); } catch { storage = false; }
    if (!storage || typeof WebAssembly !== 'object') say('aside', 'Program', 'This browser doesn’t run the panel’s program, so its plain buttons act. They work.');
    verdict.classList.toggle('ready', !mend.length);
    verdict.textContent = mend.length ? 'Not ready: ' + mend[0] : 'Ready';
  }

  // The links.
  const list = main.querySelector('.links'), notice = main.querySelector('.notice[role=alert]');
  const day = text => new Date(text).toLocaleDateString([], {dateStyle: 'medium'});
  const lives = x => !(Date.parse(x.expires_at) < Date.now() + 864e5);
  // The bookmark that pauses may hold one of them, and then needs no further press. To open this page makes none: another site's
  // page can do that.
  const carried = 'Bookmark', marks = [...main.querySelectorAll('[data-mark]')].map(mark => [mark, mark.href]);
  function carry(link) {
    for (const [mark, plain] of marks) {
      mark.href = link ? plain.replace('/act?action=pause&reason=bookmark', '$&%23' + new URL(link.url).hash.slice(1)) : plain;
      mark.parentNode.querySelector('[data-copy]').dataset.copy = mark.href;
    }
    main.querySelector('.once').hidden = !!link;
  }
  async function change(method, id = '', body) {
    const told = error => { notice.textContent = error instanceof TypeError ? lost : error.message; };
    notice.textContent = '';
    if (method) await api('/api/v1/links' + id, method, body).catch(told);
    try {
      const {items} = await api('/api/v1/links'), link = items.find(x => x.purpose === carried && lives(x));
      carry(link);
      list.replaceChildren(...items.map(x => make('li', {},
        make('span', {className: 'name', textContent: x.purpose}),
        make('button', {className: 'button quiet', type: 'button', textContent: 'Copy', ariaLabel: 'Copy the link ' + x.purpose, onclick() { copy(x.url, this); }}),
        make('button', {className: 'button quiet', type: 'button', textContent: 'Revoke', ariaLabel: 'Revoke the link ' + x.purpose, onclick: () => change('DELETE', '/' + x.id)}),
        make('span', {className: 'small', textContent: (x.uses ? `Used ${x.uses === 1 ? 'once, on' : x.uses + ' times, last on'} ${day(x.used_at)}. ` : 'Never used. ') + `It ends on ${day(x.expires_at)}.`}))));
    } catch (error) { told(error); }
  }
  if (list) {
    main.querySelector('form[data-do=link]').addEventListener('submit', e => {
      e.preventDefault();
      change('POST', '', {action: 'pause', purpose: e.target.elements.purpose.value});
    });
    change();
  }

  // The snippet, and a sample page with it.
  const snippet = doc.getElementById('snippet'), sample = main.querySelector('.sample');
  function write() {
    const value = name => main.querySelector(`.maker [name="${name}"]`)?.value ?? '', on = name => main.querySelector(`.maker [name="${name}"]`).checked;
    const quoted = text => text.replace(/&/g, '&amp;').replace(/'/g, '&#39;');
    const platform = value('platform'), after = value('after'), guard = on('guard') ? value('good') : '';
    const lines = [`<script async src='${snippet.dataset.home}/embed/v1.js' data-platform='${quoted(platform)}'`];
    if (on('on') || guard) lines.push(`  data-pause-on='[autocomplete^="cc-"]' data-resume-after='${after}'`);
    if (guard) lines.push(`  data-guard='${guard}'`);
    snippet.value = lines.join('\n') + '></script>\n<!-- and where the panel is to be: -->\n<offrecord-panel' + (on('float') ? ' float' : '') + '></offrecord-panel>\n';
    const shown = '/setup/sample?' + new URLSearchParams({platform, after, guard, ...on('on') && {on: ''}, ...on('float') && {float: ''}});
    if (sample.getAttribute('src') !== shown) sample.src = shown;
  }
  if (snippet) {
    main.querySelector('.maker').addEventListener('input', write);
    write();
  }

  addEventListener('click', e => {
    const mark = e.target.closest?.('[data-mark]');
    if (mark) {
      e.preventDefault();
      main.querySelector('[data-marks]').textContent = 'Drag it to the bar of bookmarks, and press it there.';
      return;
    }
    const copied = e.target.closest?.('[data-copy]');
    if (copied) copy(copied.dataset.copy, copied);
    switch (e.target.closest?.('button')?.dataset.do) {
      case 'test': test(); break;
      case 'once':
        change('POST', '', {action: 'pause', purpose: carried});
        main.querySelector('[data-marks]').textContent = 'Now drag “Pause recording” to the bar of bookmarks.';
        break;
      case 'copy': copy(snippet.value, e.target); break;
      case 'helper': open('/helper', 'offrecord-helper', 'popup,width=420,height=420'); break;
    }
  });
})();
