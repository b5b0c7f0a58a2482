// Elements, without markup in strings: what comes from a server can never become markup.

/** h("a", { href: "/", class: "go", onclick, "aria-label": "…" }, "text", child, …); null and false are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in DIRECT) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const DIRECT = { value: 1, checked: 1, disabled: 1, hidden: 1, textContent: 1 };

/**
 * Keeps a list of elements equal to items, by their keys. One whose item says the same is not touched, and one
 * that is made anew takes the focus over from the one before (by `data-focus`), so that nobody loses their place.
 */
export function reconcile(list, items, { key, draw }) {
  const known = new Map([...list.children].map((element) => [element.dataset.key, element]));
  const wanted = items.map((item) => {
    const name = key(item);
    const looks = JSON.stringify(item);
    const before = known.get(name);
    if (before?.looks === looks) return before;
    const element = draw(item);
    element.dataset.key = name;
    element.looks = looks;
    if (before?.contains(document.activeElement)) element.takesOver = document.activeElement.dataset.focus;
    return element;
  });
  const same = wanted.length === list.children.length && wanted.every((element, at) => list.children[at] === element);
  if (same) return;
  const focused = document.activeElement;
  list.replaceChildren(...wanted);
  for (const element of wanted) {
    if (element.takesOver) element.querySelector(`[data-focus="${element.takesOver}"]`)?.focus();
    else if (element.contains(focused)) focused.focus();
    delete element.takesOver;
  }
}

/** Calls what it was last given once nothing came for `ms`; `flush()` does so now. */
export function debounced(ms, run) {
  let timer = null;
  const flush = () => {
    if (timer === null) return;
    clearTimeout(timer);
    timer = null;
    run();
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  };
  return Object.assign(later, { flush, waits: () => timer !== null });
}
