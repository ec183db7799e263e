// What a call's page does besides the browser's own player: where it plays is shown in the pictures, and a press in one of them,
// or on a time in a table, plays from there. Pictures that are wider than the screen are turned to what they are about. What leaks
// is silenced by the server, not here.
(() => {
  'use strict';
  for (const wave of document.querySelectorAll('.wave')) {
    const box = (wave.querySelector('.band.leak') ?? wave.querySelector('.band.pause, .band.other'))?.getBoundingClientRect();
    if (box) wave.scrollLeft += box.left + box.width / 2 - wave.getBoundingClientRect().left - wave.clientWidth / 2;
  }

  const audio = document.querySelector('audio');
  const pictures = [...document.querySelectorAll('.wave svg')].map((svg) => ({
    svg, cursor: svg.querySelector('.cursor'), from: +svg.dataset.from, seconds: +svg.dataset.seconds, width: svg.viewBox.baseVal.width,
  }));
  if (!audio) return;

  const show = () => {
    for (const { cursor, from, seconds, width } of pictures) {
      const at = (audio.currentTime - from) / seconds;
      const within = at >= 0 && at <= 1 && (audio.currentTime > 0 || !audio.paused);
      cursor.setAttribute('visibility', within ? 'visible' : 'hidden');
      if (within) {
        cursor.setAttribute('x1', at * width);
        cursor.setAttribute('x2', at * width);
      }
    }
    if (!audio.paused) requestAnimationFrame(show);
  };
  for (const event of ['play', 'pause', 'seeked', 'timeupdate']) audio.addEventListener(event, show);

  const play = (at) => {
    audio.currentTime = Math.max(at, 0);
    audio.play().catch(() => {}); // the player says why
  };
  for (const { svg, from, seconds } of pictures) {
    svg.parentElement.classList.add('seekable');
    svg.addEventListener('click', (event) => {
      const box = svg.getBoundingClientRect();
      play(from + (event.clientX - box.left) / box.width * seconds);
    });
  }
  for (const cell of document.querySelectorAll('td[data-at]')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'seek';
    button.textContent = cell.textContent;
    button.setAttribute('aria-label', 'Play from ' + cell.textContent);
    button.addEventListener('click', () => play(+cell.dataset.at - 2));
    cell.replaceChildren(button);
  }
})();
