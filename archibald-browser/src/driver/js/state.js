() => {
  const navigation = performance.getEntriesByType('navigation')[0];
  return { url: location.href, title: document.title, status: navigation ? navigation.responseStatus : 0 };
}
