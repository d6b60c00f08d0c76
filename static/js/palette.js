/* Command palette. Empty: actions of this page, then pages. With text: results from the server, grouped. */
import { all, announce, isTyping, keycaps, make, on, one, openModal } from "./dom.js";
import { press } from "./keys.js";

const dialog = one("#palette");
const input = dialog && one("input", dialog);
const list = dialog && one("[role=listbox]", dialog);
let selected = -1;
let request = null;
let timer = 0;

const labelOf = (element) => element.dataset.actionLabel || one(".label", element)?.textContent?.trim() || element.textContent.trim();

function iconNode(source) {
  const icon = source && one("svg.icon", source)?.cloneNode(true);
  return icon || one("#palette-icon")?.content.firstElementChild.cloneNode(true) || null;
}
function namedIcon(name) {
  return (one(`#palette-icons [data-name="${CSS.escape(name || "")}"]`) || one("#palette-icons [data-name='']"))?.firstElementChild?.cloneNode(true) || null;
}

function local(query) {
  const wanted = query.toLocaleLowerCase();
  const matches = (item) => !wanted || item.label.toLocaleLowerCase().includes(wanted);
  const actions = all("[data-action-label]").filter((element) => !element.matches(":disabled, [aria-disabled=true]"))
    .map((element) => ({ label: labelOf(element), key: element.dataset.key || element.dataset.actionKey, node: iconNode(element), run: () => press(element) }));
  const pages = all("[data-nav]").map((element) => ({ label: labelOf(element), key: element.dataset.key, node: iconNode(element), url: element.href || "", run: element.href ? null : () => element.click() }));
  return [
    { label: dialog.dataset.actions, items: actions.filter(matches) },
    { label: dialog.dataset.pages, items: pages.filter(matches) },
  ].filter((group) => group.items.length);
}

function render(groups, note = "") {
  selected = -1;
  list.replaceChildren();
  let index = 0;
  for (const group of groups) {
    const id = `palette-group-${index}`;
    const box = make("div", { role: "group", "aria-labelledby": id }, make("div", { class: "palette-group", id, role: "presentation" }, group.label));
    for (const item of group.items) {
      const node = make(item.url ? "a" : "div", { class: "palette-item", role: "option", id: `palette-${index}`, "aria-selected": "false", href: item.url || null, tabindex: "-1" },
        item.node || namedIcon(item.icon),
        make("span", { class: "label" }, item.label),
        item.sub ? make("span", { class: "sub" }, item.sub) : null,
        item.key ? keycaps(item.key) : null);
      if (item.run) node.addEventListener("click", (event) => { event.preventDefault(); dialog.close(); item.run(); });
      box.append(node);
      index += 1;
    }
    list.append(box);
  }
  if (!index) list.append(make("div", { class: "palette-note", role: "presentation" }, note || dialog.dataset.none));
  else select(0);
  announce(index ? dialog.dataset.count.replace("%n", index) : note || dialog.dataset.none);
}

function select(index) {
  const items = all("[role=option]", list);
  if (!items.length) return;
  selected = (index + items.length) % items.length;
  items.forEach((item, at) => item.setAttribute("aria-selected", String(at === selected)));
  input.setAttribute("aria-activedescendant", items[selected].id);
  items[selected].scrollIntoView({ block: "nearest" });
}

async function search(query) {
  request?.abort();
  request = new AbortController();
  const here = local(query);
  try {
    const answer = await fetch(`${document.body.dataset.paletteUrl}?q=${encodeURIComponent(query)}`, { headers: { Accept: "application/json" }, credentials: "same-origin", signal: request.signal });
    if (!answer.ok) throw new Error(String(answer.status));
    const { groups = [] } = await answer.json();
    render([...groups.filter((group) => group.items?.length), ...here]);
  } catch (error) {
    if (error.name !== "AbortError") render(here, dialog.dataset.failed);
  }
}

export function openPalette() {
  if (!dialog || dialog.open) return;
  input.value = "";
  dialog.showModal();
  render(local(""));
  input.focus();
}

if (dialog) {
  document.addEventListener("keydown", (event) => {
    if ((event.metaKey || event.ctrlKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (dialog.open) dialog.close();
      else if (!openModal()) openPalette();
    } else if (event.key === "/" && !isTyping(event.target) && !openModal() && !one("[data-key='/']")) {
      event.preventDefault();
      openPalette();
    }
  });
  on("click", "[data-palette-open]", (event) => {
    if (event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    openPalette();
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    const query = input.value.trim();
    if (query.length < 2) { request?.abort(); render(local(query)); } else timer = setTimeout(() => search(query), 140);
  });
  input.addEventListener("keydown", (event) => {
    const items = all("[role=option]", list);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      select(selected + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && items[selected]) {
      event.preventDefault();
      const item = items[selected];
      if (item.href && (event.metaKey || event.ctrlKey)) window.open(item.href, "_blank", "noopener");
      else item.click();
    }
  });
}
