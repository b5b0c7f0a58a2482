() => {
  // A copy: the page itself is not touched. Typed values live in properties, not in attributes.
  const copy = document.documentElement.cloneNode(true);
  const fields = document.querySelectorAll('input, textarea, select');
  copy.querySelectorAll('input, textarea, select').forEach((field, index) => {
    const live = fields[index];
    if (field.type === 'password') {
      field.setAttribute('value', '');
    } else if (field.type === 'hidden') {
      const value = field.getAttribute('value') || '';
      if (value.length > 200) field.setAttribute('value', `(${value.length} characters)`);
    } else if (field.tagName === 'TEXTAREA') {
      field.textContent = live ? live.value : '';
    } else if (field.tagName === 'INPUT' && live && !['file', 'submit', 'button'].includes(field.type)) {
      field.setAttribute('value', live.value);
    }
  });
  copy.querySelectorAll('script').forEach((script) => script.remove());
  return copy.outerHTML;
}
