'use strict';
// The CRM's own script: it tells offrecord who works here, where the CRM's server signs that.
const {token} = document.currentScript.dataset;
if (token && window.offrecord) {
  fetch(token).then(answer => answer.text()).then(jwt => offrecord('identify', jwt)).catch(error => console.warn('Larch: offrecord: ' + error.message));
}
document.addEventListener('offrecord:change', e => { document.body.dataset.recording = e.detail.state; });
