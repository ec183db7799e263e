'use strict';
// Keeps the workspace page true: draws the tape from the simulator's own stream, and says so when the stream is gone.

const body = document.body;
const strip = document.getElementById('strip');
const sound = document.querySelector('#strip .sound');
const hush = document.querySelector('#strip .hush');
const still = matchMedia('(prefers-reduced-motion: reduce)');
const barMs = 200;
let desk = null;
let ahead = 0; // how far the simulator's clock is before this one's, in ms

const words = { recording: '● Recording', silent: '❚❚ Silent', unrecorded: 'Not recorded', none: 'No call' };

const stream = new EventSource('/AGUI/events');
stream.addEventListener('desk', (event) => {
  desk = JSON.parse(event.data);
  ahead = Date.parse(desk.now) - Date.now();
  body.dataset.tape = desk.tape;
  body.dataset.link = 'live';
  document.getElementById('lost').hidden = true;
  document.getElementById('live').innerHTML = desk.html;
  document.getElementById('log').innerHTML = desk.log;
  document.querySelector('.clocks span').textContent = desk.call ? 'Call ' + desk.call : '';
  document.querySelector('[name=on]').checked = desk.records;
  document.querySelector('[name=fault]').value = desk.fault;
  document.title = words[desk.tape] + ' · Agent Workspace (simulator)';
  draw();
});
stream.addEventListener('expired', () => {
  stream.close();
  lost('expired');
});
stream.onerror = () => lost('lost');

// lost: a tape that can't be seen is never shown as running or silent.
function lost(why) {
  if (body.dataset.link === 'expired') return;
  desk = null;
  body.dataset.link = why;
  document.getElementById('lost').hidden = why !== 'lost';
  document.getElementById('expired').hidden = why !== 'expired';
  document.title = 'Agent Workspace (simulator)';
  draw();
}

function silentAt(t) {
  for (const i of desk.track) {
    const to = i.To.startsWith('0001') ? Infinity : Date.parse(i.To);
    if (t >= Date.parse(i.From) && t < to) return i.Silent;
  }
  return undefined;
}

// loudness of the n-th bar: something like speech, the same at every drawing.
function loudness(n) {
  const wave = Math.sin(n * 12.9898) * 43758.5453;
  const phrase = 0.55 + 0.45 * Math.sin(n / 7) * Math.sin(n / 3.1);
  return 0.12 + 0.88 * (wave - Math.floor(wave)) * phrase;
}

function draw() {
  let loud = '', quiet = '';
  if (desk && desk.track) {
    const now = Date.now() + ahead;
    const windowMs = strip.clientWidth < 420 ? 12000 : 24000; // what the strip shows
    for (let n = Math.ceil((now - windowMs) / barMs); n * barMs <= now; n++) {
      const silent = silentAt(n * barMs);
      if (silent === undefined) continue;
      const x = (600 * (1 - (now - n * barMs) / windowMs)).toFixed(1);
      if (silent) {
        if (n % 2) quiet += `M${x} 48h.1`;
      } else {
        const h = 44 * loudness(n);
        loud += `M${x} ${(48 - h).toFixed(1)}v${(2 * h).toFixed(1)}`;
      }
    }
  }
  sound.setAttribute('d', loud);
  hush.setAttribute('d', quiet);
  clock('since', desk && desk.tape !== 'none' && desk.since, { recording: 'running for ', silent: 'silent for ' });
  clock('length', desk && desk.started, { recording: 'on the phone ', silent: 'on the phone ', unrecorded: 'on the phone ' });
}

function clock(id, from, before) {
  const span = document.getElementById(id);
  if (!from || !before[desk.tape]) {
    span.textContent = '';
    return;
  }
  const s = Math.max(0, Math.floor((Date.now() + ahead - Date.parse(from)) / 1000));
  span.textContent = `${before[desk.tape]}${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

let drawn = 0;
requestAnimationFrame(function frame(t) {
  if (t - drawn > (still.matches ? 1000 : 60)) {
    drawn = t;
    draw();
  }
  requestAnimationFrame(frame);
});

// The forms work without this; with it the page stays where it is.
for (const form of document.querySelectorAll('form[action="/AGUI/desk"]')) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const data = new URLSearchParams(new FormData(form, event.submitter));
    fetch(form.action, { method: 'POST', body: data, redirect: 'manual' }).catch(() => lost('lost'));
  });
  if ('auto' in form.dataset) form.addEventListener('change', () => form.requestSubmit());
}
