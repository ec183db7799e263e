// How a page's own script uses the loader, and what its types keep it from.
/// <reference path="v1.d.ts" />

async function takeCard(form: HTMLFormElement): Promise<boolean> {
  try {
    const {state, outcome, confirmed} = await offrecord('pause', {reason: 'card', name: 'checkout'});
    if (!confirmed) console.warn(`not confirmed: ${outcome}, the recording is ${state}`);
    form.hidden = state !== 'paused';
    return confirmed;
  } catch (error) {
    const {code, message} = error as Offrecord.Fault;
    if (code === 'timeout') console.warn(message);
    return false;
  }
}

async function begin(token: string, call: string): Promise<void> {
  await offrecord('ready');
  await offrecord('identify', token);
  await offrecord('call', {call, event: 'started'});
  const listener = (change: Offrecord.Change) => { document.title = change.state + ' since ' + new Date(change.at).toISOString(); };
  await offrecord('on', 'change', listener);
  await offrecord('off', 'change', listener);
  document.addEventListener('offrecord:change', e => console.log(e.detail.confirmed));
  document.querySelector('offrecord-panel')?.toggleAttribute('float', true);
  await window.offrecord?.('resume', {name: 'checkout'});
  await offrecord('destroy');
}

// @ts-expect-error: there is no toggle
offrecord('toggle');
// @ts-expect-error: an event that there isn't
offrecord('call', {call: 'x', event: 'begun'});
// @ts-expect-error: a token is text
offrecord('identify', 1);
// @ts-expect-error: a resume has no reason
offrecord('resume', {reason: 'done'});
// @ts-expect-error: a state that there isn't
offrecord('ready').then(({state}) => state === 'muted');

export {takeCard, begin};
