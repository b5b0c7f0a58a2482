async ({ selector, value, limit }) => {
  const { element, problem } = await ready(selector, { editable: true }, limit);
  if (problem) return { problem };
  if (element.tagName === 'SELECT') {
    const fits = (option) => option.value === value || option.text.trim() === value;
    const option = Array.from(element.options).find(fits);
    if (!option) return { problem: { why: 'no-entry', by: value } };
    value = option.value;
  }
  const changed = element.value !== value;
  element.focus();
  if (changed) {
    // Through the prototype, past what scripts may have put over the property.
    const own = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(element), 'value');
    own.set.call(element, value);
    element.dispatchEvent(new InputEvent('input', { bubbles: true }));
    element.dispatchEvent(new Event('change', { bubbles: true }));
  }
  element.blur();
  return { changed };
}
