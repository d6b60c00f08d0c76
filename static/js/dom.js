/* Small helpers shared by the modules. */
export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Delegate: call handler(event, element) when an event hits an element of the selector, now or swapped in later. */
export function on(type, selector, handler, options) {
  document.addEventListener(type, (event) => {
    const element = event.target instanceof Element && event.target.closest(selector);
    if (element) handler(event, element);
  }, options);
}

/** True while keys belong to a field, not to shortcuts. */
export function isTyping(target) {
  if (!(target instanceof Element)) return false;
  if (target.closest("[contenteditable=''], [contenteditable='true']")) return true;
  return target.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=range])");
}

export const openModal = () => one("dialog:modal");

/** Say something to screen readers. */
export function announce(text) {
  const region = one("#live");
  if (!region) return;
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50);
}

export const store = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch { /* refused */ } },
};

/** An element from a tag, properties and children. Text is always text. */
export function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const csrfToken = () => {
  try { return JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] || ""; } catch { return ""; }
};

/** A shortcut as small keycaps, the same as the server draws. */
export function keycaps(keys) {
  const mac = /Mac|iP(hone|ad)/.test(navigator.platform);
  const names = { mod: mac ? "⌘" : "Ctrl", enter: "↵", esc: "Esc" };
  const caps = keys.replaceAll("+", " ").split(" ").filter(Boolean).map((key) => make("kbd", {}, names[key] || (key.length === 1 ? key.toUpperCase() : key)));
  return make("span", { class: "key", "aria-hidden": "true" }, ...caps);
}
