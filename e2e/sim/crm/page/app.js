'use strict';
// An application that changes without loading, and draws anew as such applications do: by new elements for old ones.
const root = document.getElementById('app');
const steps = {'/app/pay': 'pay', '/app/thanks': 'thanks'};
function draw() {
  root.replaceChildren(document.getElementById(steps[location.pathname] ?? 'basket').content.cloneNode(true));
}
function go(path) {
  history.pushState(null, '', path + location.search);
  draw();
}
// again draws the same step anew and gives the focus back to the same field, as a framework does.
function again() {
  const focused = document.activeElement?.id;
  draw();
  if (focused) document.getElementById(focused)?.focus();
}
addEventListener('popstate', draw);
addEventListener('click', e => {
  const to = e.target.closest('[data-step]')?.getAttribute('href') ?? e.target.closest('[data-go]')?.dataset.go;
  if (!to) return;
  e.preventDefault();
  go(to);
});
addEventListener('submit', e => {
  e.preventDefault();
  go('/app/thanks');
});
window.larch = {go, again};
draw();
