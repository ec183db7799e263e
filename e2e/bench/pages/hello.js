// The least that starts a go-app program.
'use strict';
window.goappGetenv = () => '';
(async () => {
  const go = new Go();
  const {instance} = await WebAssembly.instantiateStreaming(fetch('/hello.wasm'), go.importObject);
  await go.run(instance);
})();
