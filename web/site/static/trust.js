// What may become markup or script on a page whose policy asks for Trusted Types. Without a browser's help these are the same
// texts, unchecked.
'use strict';
window.offrecordTrust = (() => {
  const types = window.trustedTypes;
  if (!types) return {html: text => text, script: address => address};
  // The program's own drawings, which go-app sets as markup: shapes and their measures, and nothing that acts or refers.
  const attribute = ' (?:class|viewBox|aria-hidden|focusable|cx|cy|r|x|y|rx|width|height|fill|d|points|stroke(?:-[a-z]+)?)="[\\w .,:#%-]*"';
  const drawing = new RegExp(`^<svg(?:${attribute})*>(?:<(?:circle|rect|path|polyline|polygon|line)(?:${attribute})*/>)*</svg>$`);
  types.createPolicy('default', {createHTML: text => drawing.test(text) ? text : null});
  const policy = types.createPolicy('offrecord', {
    createHTML: text => text, // the server's own drawing of the panel, in which every outside text is escaped
    createScriptURL: address => {
      if (!/^\/assets\/[\w.-]+\.js$/.test(address)) throw new TypeError('not a script of ours');
      return address;
    },
  });
  return {html: text => policy.createHTML(text), script: address => policy.createScriptURL(address)};
})();
