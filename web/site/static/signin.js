// Sign-in for a frame in another site's page, in a window of its own. This is both ends of it: the window's, and for the frame
// offrecordSignIn. The two know each other by a message of our own origin; where a page on the way has cut their tie, the
// person carries a code from the window to the frame.
'use strict';
(() => {
  const page = document.body?.dataset.page, home = location.origin;
  const post = (path, body) => fetch(path, {
    method: 'POST', credentials: 'same-origin', cache: 'no-store', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body),
  });

  if (page === 'popup') { ask(); return; }
  if (page === 'handed') { close(); return; }

  // ask finds out whether the window's opener is a frame of ours that made the challenge. Only such a frame can answer: the
  // question goes to our own origin, and so does the answer.
  async function ask() {
    const challenge = new URLSearchParams(location.search).get('challenge');
    const says = text => { document.querySelector('[role=status]').textContent = text; };
    let told = null;
    if (opener) {
      told = await new Promise(done => {
        addEventListener('message', e => {
          if (e.source === opener && e.origin === home && e.data?.offrecord === 'mine' && e.data.challenge === challenge) done(e.data);
        });
        try { opener.postMessage({offrecord: 'whose', challenge}, home); } catch { done(null); }
        setTimeout(done, 1500, null);
      });
    }
    try {
      const answer = await post('/login/popup', {challenge, proven: !!told, page: told?.page ?? ''});
      const said = await answer.json();
      if (answer.ok) location.replace(said.next); else says(said.detail);
    } catch {
      says('The server could not be reached. Close this window, and press Sign in again.');
    }
  }

  // offrecordSignIn opens the window, so it has to be called inside a press. It resolves with what the log-in answered with
  // ({access_token, token_type, expires_in}), and rejects with an Error whose message is for the person.
  //   page: the origin whose page holds this frame, if it is known
  //   say(text): tells the person what to do
  //   code(wrong): asks the person for the code that the window shows, and resolves with it; wrong says that the last one was
  //   stop: an AbortSignal
  const base64url = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const make = () => {
    const made = {verifier: base64url(crypto.getRandomValues(new Uint8Array(32)))};
    made.hash = crypto.subtle.digest('SHA-256', new TextEncoder().encode(made.verifier)).then(sum => { made.challenge = base64url(sum); });
    return made;
  };
  let next = make(); // before the press: the hash takes a moment, and a page that cuts the tie leaves no second one
  window.offrecordSignIn = ({page = '', say = () => {}, code, stop} = {}) => {
    const mine = next;
    next = make();
    const address = () => '/login/popup?' + new URLSearchParams({challenge: mine.challenge});
    const w = open(mine.challenge ? address() : 'about:blank', 'offrecord-login', 'popup,width=480,height=640');
    // Without a handle the window was blocked, or it is there and doesn't know us.
    say(w ? 'Sign in in the small window.' : 'Sign in in the small window. If there is none, allow pop-ups for this page, then press again.');
    const hear = e => {
      if (w && e.source === w && e.origin === home && e.data?.offrecord === 'whose' && e.data.challenge === mine.challenge) {
        w.postMessage({offrecord: 'mine', challenge: mine.challenge, page}, home);
      }
    };
    addEventListener('message', hear);
    return (async () => {
      if (!mine.challenge) {
        await mine.hash;
        w?.location.replace(address());
      }
      let typed = '', wait = 500;
      for (const until = Date.now() + 600000; Date.now() < until;) {
        await new Promise(go => setTimeout(go, wait));
        if (stop?.aborted) throw new Error('The sign-in was given up.');
        wait = Math.min(wait * 1.2, 3000);
        let answer, said;
        try {
          answer = await post('/api/v1/login/popup', {verifier: mine.verifier, code: typed});
          said = await answer.json();
        } catch { continue; } // the network
        if (answer.status === 200) return said;
        if (said.code === 'code_needed' || said.code === 'code_wrong') {
          typed = await code(said.code === 'code_wrong');
          wait = 0;
        } else if (answer.status === 401 || answer.status === 400) {
          throw new Error(said.detail);
        }
      }
      throw new Error('The sign-in took too long. Press the button again.');
    })().finally(() => { removeEventListener('message', hear); });
  };
})();
