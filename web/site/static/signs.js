// What is noticed of the panel without looking at it: the tab's title and icon, a sound, a notification, a small window that
// stays on top; and the keys that press without the pointer. It goes by what the panel shows, whoever drew it, and claims
// nothing of its own. It has no dependencies and works under a policy without inline script.
'use strict';
(() => {
  const doc = document, html = doc.documentElement, icons = doc.currentScript.dataset;
  const panel = () => doc.querySelector('main.panel');
  const settings = doc.getElementById('settings'), icon = doc.querySelector('link[rel="icon"]');
  if (!panel() || !settings) return;

  // The settings are this browser's. Where it keeps nothing, they last as long as the page.
  const chosen = {};
  function setting(name, otherwise) {
    try { chosen[name] ??= localStorage.getItem('offrecord-' + name); } catch {}
    return chosen[name] ?? otherwise;
  }
  function choose(name, value) {
    chosen[name] = value;
    try { localStorage.setItem('offrecord-' + name, value); } catch {}
    look();
  }

  let was = {due: '', told: 0};
  function look() {
    const p = panel();
    if (!p) return;
    const old = html.dataset.word === 'old';
    const hero = p.querySelector(old ? '.frozen .hero' : '.hero.live');
    const {due} = p.dataset, told = +p.dataset.told || 0;
    const late = due === 'soon' || due === 'over', warn = late || hero.classList.contains('alarm');
    const words = hero.querySelector('.headline').textContent.replace(/\.$/, '');
    const title = (warn ? '⚠ ' : '') + words + (due === 'soon' ? ', time nearly up' : due === 'over' ? ', over its time' : '') + ' · offrecord';
    if (doc.title !== title) doc.title = title;
    const sign = icons[warn ? 'alarm' : old ? 'unknown' : p.dataset.state];
    if (icon && sign && icon.getAttribute('href') !== sign) icon.href = sign;

    if (late && (due !== was.due || told > was.told)) signal(due === 'soon' ? 1 : 2 + told, p.querySelector('.warning').textContent);
    if (!late) hush();
    was = {due, told};
    for (const [letter, control] of Object.entries(keys)) {
      const button = p.querySelector(`[data-control="${control}"]`), shortcut = 'Alt+Shift+' + letter.toUpperCase();
      if (setting('keys', 'on') === 'off') button?.removeAttribute('aria-keyshortcuts');
      else if (button?.getAttribute('aria-keyshortcuts') !== shortcut) button?.setAttribute('aria-keyshortcuts', shortcut);
    }
    mirror(p, hero);
  }

  // A warning is said once for each step, and louder each time.
  let audio, note;
  function signal(loud, text) {
    if (setting('sound', 'on') === 'on' && navigator.userActivation?.hasBeenActive) sound(loud);
    if (setting('notify') !== 'on' || window.Notification?.permission !== 'granted' || doc.hasFocus()) return;
    hush();
    try {
      note = new Notification(doc.title, {body: text, tag: 'offrecord', requireInteraction: true});
      note.onclick = () => { window.focus(); hush(); };
    } catch {} // a browser that shows them by a service worker only
  }
  function hush() {
    note?.close();
    note = null;
  }
  function sound(loud) {
    try { audio ??= new AudioContext(); } catch { return; }
    audio.resume?.();
    for (let i = 0; i < Math.min(1 + loud, 6); i++) {
      const tone = audio.createOscillator(), gain = audio.createGain(), at = audio.currentTime + i * .3;
      tone.frequency.value = i % 2 ? 660 : 880;
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(Math.min(.1 * loud + .1, .8), at + .02);
      gain.gain.setValueAtTime(Math.min(.1 * loud + .1, .8), at + .18);
      gain.gain.linearRampToValueAtTime(0, at + .22);
      tone.connect(gain).connect(audio.destination);
      tone.start(at);
      tone.stop(at + .24);
    }
  }

  // Keys: with two modifiers, which no screen reader and no browser takes for itself, and never by a key that is held down.
  const keys = {p: 'pause', r: 'resume'};
  function key(e) {
    if (!e.isTrusted || !e.altKey || !e.shiftKey || e.ctrlKey || e.metaKey || e.isComposing || setting('keys', 'on') === 'off') return;
    const letter = (/^[a-z]$/i.test(e.key) ? e.key : e.code.replace(/^Key/, '')).toLowerCase(); // with Alt a Mac writes a sign
    if (!Object.hasOwn(keys, letter)) return;
    e.preventDefault();
    if (!e.repeat) press(keys[letter]);
  }
  const press = control => panel()?.querySelector(`[data-control="${control}"]`)?.click();
  addEventListener('keydown', key);

  // The small window on top is a picture of the panel with buttons that press the panel's own.
  let small = null;
  async function keepOnTop() {
    if (small) { small.window.close(); return; }
    const w = await documentPictureInPicture.requestWindow({width: 360, height: 520});
    const d = w.document, place = d.createElement('div'), desk = d.createElement('div'), main = d.createElement('main');
    d.documentElement.lang = 'en';
    for (const sheet of doc.querySelectorAll('link[rel="stylesheet"]')) {
      const link = d.createElement('link');
      link.rel = 'stylesheet';
      link.href = sheet.href;
      d.head.append(link);
    }
    d.body.dataset.page = 'top';
    main.className = 'panel';
    desk.className = 'desk';
    const actions = d.createElement('div');
    actions.className = 'actions';
    const buttons = ['pause', 'resume', 'keep'].map(control => {
      const button = d.createElement('button');
      button.type = 'button';
      button.hidden = true;
      button.addEventListener('click', () => press(control));
      actions.append(button);
      return {control, button};
    });
    desk.append(place, actions);
    main.append(desk);
    d.body.append(main);
    small = {window: w, main, place, buttons};
    w.addEventListener('keydown', key);
    w.addEventListener('pagehide', () => { small = null; look(); });
    look();
  }
  function mirror(p, hero) {
    const label = small ? 'Close the window on top' : 'Keep on top';
    if (top.textContent !== label) top.textContent = label; // what changes is looked at again
    if (!small) return;
    small.window.document.title = doc.title;
    Object.assign(small.main.dataset, {due: p.dataset.due, told: p.dataset.told});
    const copy = hero.cloneNode(true);
    for (const e of copy.querySelectorAll('[id], [role], [tabindex]')) for (const name of ['id', 'role', 'tabindex']) e.removeAttribute(name);
    small.place.replaceChildren(copy); // it holds nothing to press
    for (const {control, button} of small.buttons) {
      const from = p.querySelector(`[data-control="${control}"]`);
      button.hidden = !from;
      if (!from) continue;
      button.className = from.className;
      button.disabled = from.disabled;
      if (button.textContent !== from.textContent) button.replaceChildren(...from.cloneNode(true).childNodes);
    }
  }

  const box = (name, on, change) => {
    const input = settings.querySelector(`[name="${name}"]`);
    input.checked = on;
    input.addEventListener('change', () => change(input));
    return input;
  };
  box('sound', setting('sound', 'on') === 'on', input => {
    choose('sound', input.checked ? 'on' : 'off');
    if (input.checked) sound(1); // so that one knows it
  });
  box('keys', setting('keys', 'on') === 'on', input => choose('keys', input.checked ? 'on' : 'off'));
  const notify = box('notify', setting('notify') === 'on' && window.Notification?.permission === 'granted', async input => {
    if (input.checked && Notification.permission !== 'granted') await Notification.requestPermission();
    input.checked = input.checked && Notification.permission === 'granted';
    choose('notify', input.checked ? 'on' : 'off');
    refused.hidden = Notification.permission !== 'denied';
  });
  const refused = settings.querySelector('.refused');
  notify.closest('label').hidden = !window.Notification;
  const top = settings.querySelector('[name="top"]');
  top.hidden = !window.documentPictureInPicture;
  top.addEventListener('click', () => keepOnTop().catch(() => {}));
  settings.hidden = false;

  new MutationObserver(look).observe(html, {subtree: true, childList: true, characterData: true,
    attributeFilter: ['class', 'disabled', 'data-state', 'data-due', 'data-told', 'data-word']});
  look();
})();
