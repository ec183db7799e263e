// Runs in every document of a measured page before the document's own scripts, and is the same for the rival and for us.
(() => {
  if (window !== top) return;
  const seen = window.offrecordBench = {clicks: [], paint: 0, mounted: 0};
  // When the browser took the click from the mouse: what the page does before its handler runs counts against the page.
  addEventListener('click', e => seen.clicks.push(performance.timeOrigin + e.timeStamp), true);
  new PerformanceObserver(list => {
    for (const entry of list.getEntriesByName('first-contentful-paint')) {
      seen.paint = entry.startTime;
      window.offrecordPainted?.('');
    }
  }).observe({type: 'paint', buffered: true});
  // go-app mounts by putting its own element in the place of the body's first.
  let first = null;
  const changes = new MutationObserver(() => {
    const now = document.body?.firstElementChild;
    first ??= now;
    if (!now || now === first) return;
    seen.mounted = performance.now();
    changes.disconnect();
  });
  changes.observe(document, {childList: true, subtree: true});
})();
