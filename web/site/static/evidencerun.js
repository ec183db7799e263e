// The page of a period follows a run that is under way: what was found so far is drawn by the server, and put in place here. Without
// this script the page loads itself again.
(() => {
  'use strict';
  const status = document.querySelector('.running');

  // A document is read without a word of it being run.
  const page = () => new Promise((done, fail) => {
    const r = new XMLHttpRequest();
    r.open('GET', location.pathname + location.search);
    r.responseType = 'document';
    r.timeout = 10000;
    r.onload = () => r.status === 200 && r.response?.body.dataset.page === 'evidence' ? done(r.response) : fail(r.status);
    r.onerror = r.ontimeout = fail;
    r.send();
  });

  // What somebody is in isn't taken from under their hands; it is put in place once they are elsewhere.
  const put = (drawn) => {
    let left = false;
    for (const is of drawn.querySelectorAll('[data-part]')) {
      const was = document.querySelector(`[data-part="${is.dataset.part}"]`);
      if (was.outerHTML === is.outerHTML) continue;
      if (was.contains(document.activeElement)) left = true;
      else was.replaceWith(document.adoptNode(is));
    }
    return left;
  };

  const look = async () => {
    try {
      const drawn = await page(), said = drawn.querySelector('.running').textContent;
      const left = put(drawn);
      if (status.textContent !== said) status.textContent = said || 'The run has ended.';
      if (said || left) setTimeout(look, 2000);
    } catch (code) {
      if (code === 401 || code === 403) location.reload(); // the log-in ended: the server says what to do
      else setTimeout(look, 5000);
    }
  };
  setTimeout(look, 1000);
})();
