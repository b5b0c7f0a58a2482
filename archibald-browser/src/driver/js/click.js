async ({ selector, limit }) => {
  const { element, problem } = await ready(selector, { hit: true }, limit);
  if (problem) return problem;
  // In the same turn as the last look: nothing can move or cover it in between, and it is one click.
  const event = (type) => new MouseEvent(type, { bubbles: true, cancelable: true, view: window });
  element.dispatchEvent(event('mousedown'));
  element.focus();
  element.dispatchEvent(event('mouseup'));
  element.click();
  return null;
}
