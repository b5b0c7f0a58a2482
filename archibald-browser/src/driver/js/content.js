() => {
  // A copy: the page itself is not touched. Typed values live in properties, not in attributes.
  const copy = document.documentElement.cloneNode(true);
  const secretive = /passw|pwd|token|secret|csrf|auth|session|nonce/i;
  const fields = document.querySelectorAll('input, textarea, select');
  copy.querySelectorAll('input, textarea, select').forEach((field, index) => {
    const live = fields[index];
    if (field.type === 'password' || secretive.test(field.name + ' ' + field.id)) {
      field.setAttribute('value', '');
      if (field.tagName === 'TEXTAREA') field.textContent = '';
    } else if (field.type === 'hidden') {
      field.setAttribute('value', `(${(field.getAttribute('value') || '').length} characters)`);
    } else if (field.tagName === 'TEXTAREA') {
      field.textContent = live ? live.value : '';
    } else if (field.tagName === 'SELECT') {
      Array.from(field.options).forEach((option, place) => {
        option.toggleAttribute('selected', live ? live.selectedIndex === place : option.selected);
      });
    } else if (live && !['file', 'submit', 'button'].includes(field.type)) {
      field.setAttribute('value', live.value);
      field.toggleAttribute('checked', live.checked);
    }
  });
  copy.querySelectorAll('script, noscript, template, meta, link').forEach((node) => node.remove());
  const comments = document.createTreeWalker(copy, NodeFilter.SHOW_COMMENT);
  const found = [];
  while (comments.nextNode()) found.push(comments.currentNode);
  found.forEach((comment) => comment.remove());
  for (const node of [copy, ...copy.querySelectorAll('*')]) {
    for (const { name, value } of Array.from(node.attributes)) {
      if (name.startsWith('on') || (name !== 'name' && name !== 'id' && secretive.test(name))) {
        node.removeAttribute(name);
      } else if (['href', 'src', 'action', 'formaction', 'data-url'].includes(name)) {
        // A session that stands in the address, and long values that may be tokens.
        const plain = value.replace(/\(S\([^)]*\)\)/g, '(S(removed))')
          .replace(/([?&;][^=&#]+=)[^&#]{16,}/g, '$1(removed)');
        if (plain !== value) node.setAttribute(name, plain);
      }
    }
  }
  return copy.outerHTML;
}
