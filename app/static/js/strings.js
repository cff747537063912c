// Translated texts that the page carries for its scripts.
const node = document.getElementById("ui-strings");
const strings = node ? JSON.parse(node.textContent) : {};

export function text(key, values = {}) {
  return Object.entries(values).reduce((found, [name, value]) => found.replace(`{${name}}`, value), strings[key] || "");
}
