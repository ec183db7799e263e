'use strict';
// Shows the center as it is, asking it a few times a second; what can't be asked isn't shown.

const still = matchMedia('(prefers-reduced-motion: reduce)');
const windowMs = 24000; // what a strip shows
const barMs = 200;
let state = null;
let ahead = 0; // how far the simulator's clock is before this one's, in ms

const words = {
  running: ['Recording', 'The tape is running. What is said now is on it.'],
  blank: ['Silent', 'The tape goes on, but what is said now isn’t on it.'],
  off: ['Not recorded', 'The tape is stopped. What is said now isn’t on it.'],
  declined: ['Declined', 'The customer won’t be recorded for the rest of this contact.'],
  none: ['No call', 'There is nothing to record.'],
};

async function ask() {
  try {
    const answer = await fetch('/sim/state');
    if (!answer.ok) throw new Error(answer.statusText);
    state = await answer.json();
    ahead = Date.parse(state.now) - Date.now();
    document.body.dataset.link = 'live';
    show();
  } catch {
    state = null;
    document.body.dataset.link = 'lost';
  }
  document.getElementById('lost').hidden = state !== null;
  setTimeout(ask, 250);
}

function put(element, text) { // only a change, so that a screen reader isn't told again
  if (element.textContent !== text) element.textContent = text;
}

function show() {
  for (const desk of state.desks) {
    const card = document.querySelector(`.desk[data-agent="${CSS.escape(desk.agent)}"]`);
    const tape = desk.call ? desk.call.tape.at(-1).tape : 'none';
    const [word, means] = words[desk.call && desk.call.declined ? 'declined' : tape];
    card.dataset.tape = tape;
    put(card.querySelector('.word'), word);
    put(card.querySelector('.means'), desk.busy ? means + ' A request is being carried out.' : means);
    card.querySelector('[data-record]').checked = desk.record;
  }
  for (const select of document.querySelectorAll('[data-endpoint]')) {
    if (document.activeElement !== select) select.value = state.faults[select.dataset.endpoint] || 'none';
  }
  const body = document.querySelector('#log tbody');
  body.replaceChildren(...state.rows.map((row) => {
    const line = document.createElement('tr');
    for (const text of [new Date(row.at).toLocaleTimeString('en-GB'), row.agent, row.asked, row.answer, row.effect || 'no change']) {
      line.insertCell().textContent = text;
    }
    return line;
  }));
  document.querySelector('#log table').hidden = state.rows.length === 0;
  document.querySelector('#log .none').hidden = state.rows.length > 0;
}

function tapeAt(call, t) {
  for (const i of call.tape) {
    if (t >= Date.parse(i.from) && (!i.to || t < Date.parse(i.to))) return i.tape;
  }
  return undefined;
}

// loudness of the n-th bar: something like speech, the same at every drawing.
function loudness(n) {
  const wave = Math.sin(n * 12.9898) * 43758.5453;
  return 0.12 + 0.88 * (wave - Math.floor(wave)) * (0.55 + 0.45 * Math.sin(n / 7) * Math.sin(n / 3.1));
}

function draw() {
  if (!state) return;
  const now = Date.now() + ahead;
  for (const desk of state.desks) {
    if (!desk.call) continue;
    const card = document.querySelector(`.desk[data-agent="${CSS.escape(desk.agent)}"]`);
    let loud = '', quiet = '';
    for (let n = Math.ceil((now - windowMs) / barMs); n * barMs <= now; n++) {
      const tape = tapeAt(desk.call, n * barMs);
      const x = (600 * (1 - (now - n * barMs) / windowMs)).toFixed(1);
      if (tape === 'running') {
        const h = 44 * loudness(n);
        loud += `M${x} ${(48 - h).toFixed(1)}v${(2 * h).toFixed(1)}`;
      } else if (tape === 'blank') {
        quiet += `M${x} 48h2.5`;
      }
    }
    card.querySelector('.sound').setAttribute('d', loud);
    card.querySelector('.hush').setAttribute('d', quiet);
    const last = desk.call.tape.at(-1);
    put(card.querySelector('.since'), { running: 'running for ', blank: 'silent for ', off: 'off for ' }[last.tape] + span(now - Date.parse(last.from)));
    put(card.querySelector('.length'), 'on the phone ' + span(now - Date.parse(desk.call.started)));
  }
}

function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

let drawn = 0;
requestAnimationFrame(function frame(t) {
  if (t - drawn > (still.matches ? 1000 : 60)) {
    drawn = t;
    draw();
  }
  requestAnimationFrame(frame);
});

function send(path, fields) {
  fetch(path, { method: 'POST', body: new URLSearchParams(fields) }).catch(() => {});
}
for (const card of document.querySelectorAll('.desk')) {
  const agent = card.dataset.agent;
  for (const button of card.querySelectorAll('[data-do]')) {
    button.addEventListener('click', () => send('/sim/call', { do: button.dataset.do, agent }));
  }
  card.querySelector('[data-record]').addEventListener('change', (e) => send('/sim/record', { agent, on: e.target.checked ? '1' : '0' }));
}
for (const select of document.querySelectorAll('[data-endpoint]')) {
  select.addEventListener('change', () => send('/sim/fault', { endpoint: select.dataset.endpoint, fault: select.value }));
}
ask();
