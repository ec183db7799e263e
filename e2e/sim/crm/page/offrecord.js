// The queue stub: offrecord can be called before its loader is there.
window.offrecord ||= (...args) => new Promise((yes, no) => {
  (offrecord.q ||= []).push([args, yes, no]);
  setTimeout(no, 1e4, Object.assign(new Error('offrecord did not load'), {code: 'unavailable'}));
});
