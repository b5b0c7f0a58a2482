async ({ selector, predicate, limit }) => {
  const end = performance.now() + limit;
  const holds = predicate ? eval('(' + predicate + ')') : (element) => element !== null;
  for (;;) {
    if (holds(document.querySelector(selector))) return true;
    if (performance.now() > end) return false;
    await nextLook();
  }
}
