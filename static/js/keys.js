/* One registry of shortcuts: every element with data-key. "?" shows it; the palette draws it. */
import { all, isTyping, keycaps, make, on, one, openModal, store } from "./dom.js";

let prefix = "";
let timer = 0;
const enabled = () => store.get("keys") !== "off";

const labelOf = (element) => element.dataset.actionLabel || element.getAttribute("aria-label") || element.title || one(".label", element)?.textContent?.trim() || element.textContent.trim();

/** All shortcuts of the page: [{keys, label, element, group}] */
export function shortcuts() {
  const seen = new Set();
  return all("[data-key]").filter((element) => !seen.has(element.dataset.key) && seen.add(element.dataset.key)).map((element) => ({
    keys: element.dataset.key,
    label: labelOf(element),
    element,
    group: element.closest(".sidebar") ? "go" : "page",
  }));
}

export function press(element) {
  if (element.matches("input:not([type=checkbox], [type=radio]), textarea, select")) {
    element.focus();
    element.select?.();
  } else element.click();
}

const find = (keys) => one(`[data-key="${CSS.escape(keys)}"]`);
const isPrefix = (key) => Boolean(one(`[data-key^="${CSS.escape(key)} "]`));

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || openModal() || !enabled()) return;
  if (event.key.length !== 1 || event.key === " ") return;
  if (one(".menu:popover-open")) return;
  const keys = prefix ? `${prefix} ${event.key}` : event.key;
  const element = find(keys) || (!prefix && one(`.is-current [data-row-key="${CSS.escape(event.key)}"]`));
  clearTimeout(timer);
  prefix = "";
  if (element) {
    event.preventDefault();
    press(element);
  } else if (keys === "?") {
    event.preventDefault();
    showSheet();
  } else if (isPrefix(keys)) {
    prefix = keys;
    timer = setTimeout(() => { prefix = ""; }, 1200);
  }
});

export function showSheet() {
  const dialog = one("#keys");
  if (!dialog) return;
  const rows = (list) => list.map(({ keys, label }) => make("div", { class: "keys-row" }, make("span", {}, label), keycaps(keys)));
  const group = (title, list) => list.length ? [make("div", { class: "keys-group" }, make("h3", {}, title), ...rows(list))] : [];
  const text = dialog.dataset;
  const found = shortcuts();
  const fixed = [{ keys: "mod+k", label: text.palette }, { keys: "?", label: text.sheet }];
  const lists = one("[data-list]") ? all("[data-keys]", one("[data-keys-lists]", dialog).content).map((row) => ({ keys: row.dataset.keys, label: row.textContent }))
    .filter(({ keys }) => (keys !== "x" || one("[data-select-row]")) && (keys !== "p" || one("[data-peek]"))) : [];
  const ofRows = new Map(all("[data-row-key]").map((element) => [element.dataset.rowKey, element.dataset.rowLabel || labelOf(element)]));
  ofRows.forEach((label, keys) => lists.push({ keys, label }));
  one("[data-keys-sheet]", dialog).replaceChildren(
    ...group(text.page, found.filter((item) => item.group === "page")),
    ...group(text.lists, lists),
    ...group(text.everywhere, fixed),
    ...group(text.go, found.filter((item) => item.group === "go")),
  );
  one("[data-keys-toggle]", dialog).checked = enabled();
  dialog.showModal();
}
on("click", "[data-keys-open]", (event) => { event.preventDefault(); showSheet(); });
on("change", "[data-keys-toggle]", (event, box) => store.set("keys", box.checked ? null : "off"));
