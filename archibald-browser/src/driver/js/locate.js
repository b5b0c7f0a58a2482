// Waits inside the page: nothing is asked over the wire meanwhile. A frame that is asked for is painted, which costs more
// than all the rest of a look; so only a page that moves by itself is watched frame by frame. One that is not painted has
// no frames.
const nextLook = () => new Promise((resolve) => {
  const moves = document.getAnimations().length > 0;
  if (moves) requestAnimationFrame(resolve);
  setTimeout(resolve, moves ? 250 : 20);
});

// Whether something that ends soon moves it, or is about to: in its first frame an animation has not moved anything yet.
const isOnItsWay = (element) => document.getAnimations().some(({ playState, effect, currentTime }) =>
  playState === 'running' && effect?.target?.contains(element) && effect.getComputedTiming().endTime - (currentTime ?? 0) < 5000);

const standsStill = (a, b) => a && a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;

// What keeps the element from being used, or null. `seen` remembers where it was at the last look.
const problemOf = (element, seen, need) => {
  if (!element) return { why: 'missing' };
  const box = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  if (box.width === 0 || box.height === 0 || style.visibility !== 'visible') return { why: 'hidden' };
  if (element.matches(':disabled') || (need.editable && element.readOnly)) return { why: 'disabled' };
  if (!need.hit) return null;
  const still = seen.element === element && standsStill(seen.box, box);
  seen.element = element;
  seen.box = box;
  return still && !isOnItsWay(element) ? coverOf(element) : { why: 'moving' };
};

const coverOf = (element) => {
  let box = element.getBoundingClientRect();
  const outside = box.bottom < 0 || box.right < 0 || box.top > innerHeight || box.left > innerWidth;
  if (outside || box.y + box.height / 2 > innerHeight || box.y + box.height / 2 < 0) {
    element.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
    box = element.getBoundingClientRect();
  }
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  if (top && (top === element || element.contains(top) || top.contains(element) && top.matches('a,button,label'))) {
    return null;
  }
  const name = top ? top.tagName.toLowerCase() + (top.id ? '#' + top.id : '') : 'nothing that can be clicked';
  return { why: 'covered', by: name };
};

// { element } when it is ready, { problem } when the time is up.
const ready = async (selector, need, limit) => {
  const end = performance.now() + limit;
  const seen = {};
  for (;;) {
    const element = document.querySelector(selector);
    const problem = problemOf(element, seen, need);
    if (!problem) return { element };
    if (performance.now() > end) return { problem };
    await nextLook();
  }
};
