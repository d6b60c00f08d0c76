/* Lists: j/k move, x select, Enter opens (the row's link has focus), p peeks. Selection with ranges and "all matching". */
import { all, announce, isTyping, on, one, openModal, store } from "./dom.js";
import "./columns.js";

const rowsOf = (list) => all("[data-row]", list).filter((row) => row.offsetParent !== null);
const currentList = () => document.activeElement?.closest("[data-list]") || one("[data-list]:has(.is-current)") || one("[data-list]");

export function setCurrent(row, { focus = true } = {}) {
  const list = row.closest("[data-list]");
  all(".is-current", list).forEach((other) => other.classList.remove("is-current"));
  row.classList.add("is-current");
  if (focus) one("[data-row-link]", row)?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest", inline: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || openModal() || one(".menu:popover-open") || store.get("keys") === "off") return;
  const list = currentList();
  if (!list || !["j", "k", "x", "p", "J", "K"].includes(event.key)) return;
  const rows = rowsOf(list);
  const at = rows.findIndex((row) => row.classList.contains("is-current"));
  const row = rows[at];
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") {
    const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + (key === "j" ? 1 : -1)))];
    if (!next) return;
    if (event.shiftKey && row) tick(row, true);
    setCurrent(next);
    if (event.shiftKey) tick(next, true);
    next.dispatchEvent(new CustomEvent("row:current", { bubbles: true }));
  } else if (!row) return;
  else if (key === "x") tick(row);
  else if (key === "p") one("[data-peek]", row)?.click();
  event.preventDefault();
});
on("focusin", "[data-row]", (event, row) => { if (row.closest("[data-list]")) setCurrent(row, { focus: false }); });

/* When htmx takes the current row away, the next one takes its place; after "Load more" the first new row does. */
let gone = null;
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  gone = null;
  const list = one("[data-list]", detail.target) || detail.target.closest("[data-list]");
  if (!list) return;
  const row = one(".is-current", list);
  if (detail.requestConfig?.elt?.closest?.(".list-foot")) gone = { at: rowsOf(list).length, focus: true };
  else if (row && detail.target.contains(row)) gone = { at: rowsOf(list).indexOf(row), focus: row.contains(document.activeElement) };
});
document.addEventListener("htmx:afterSettle", () => {
  const list = gone && one("[data-list]");
  if (list && !one(".is-current:focus-within", list)) {
    const rows = rowsOf(list);
    const row = rows[Math.min(gone.at, rows.length - 1)];
    if (row) setCurrent(row, { focus: gone.focus });
  }
  gone = null;
});

/* Selection */
const boxes = (scope) => all("input[data-select-row]", scope);
const scopeOf = (element) => element.closest(".list") || document;

function tick(row, value) {
  const box = one("input[data-select-row]", row);
  if (!box) return;
  box.checked = value ?? !box.checked;
  box.dispatchEvent(new Event("change", { bubbles: true }));
}

function refresh(scope) {
  const rows = boxes(scope);
  const count = rows.filter((box) => box.checked).length;
  const head = one("input[data-select-all]", scope);
  if (head) {
    head.checked = count > 0 && count === rows.length;
    head.indeterminate = count > 0 && count < rows.length;
  }
  const matching = one("input[data-select-matching]", scope);
  if (matching && count < rows.length) matching.checked = false;
  const label = one("[data-select-count]", scope);
  if (!label) return;
  const total = matching?.checked ? matching.dataset.total : String(count);
  const text = total === "" ? label.dataset.textAll : label.dataset.text.replace("%n", Number(total).toLocaleString(document.documentElement.lang));
  if (label.textContent !== text) { label.textContent = text; if (count) announce(text); }
}

let last = null;
on("click", "input[data-select-row]", (event, box) => {
  const scope = scopeOf(box);
  const rows = boxes(scope);
  if (event.shiftKey && last && rows.includes(last)) {
    const [from, to] = [rows.indexOf(last), rows.indexOf(box)].sort((a, b) => a - b);
    rows.slice(from, to + 1).forEach((other) => { other.checked = box.checked; });
  }
  last = box;
  refresh(scope);
});
on("change", "input[data-select-row]", (event, box) => refresh(scopeOf(box)));
on("change", "input[data-select-all]", (event, head) => {
  const scope = scopeOf(head);
  boxes(scope).forEach((box) => { box.checked = head.checked; });
  refresh(scope);
});
on("change", "input[data-select-matching]", (event, box) => {
  const scope = scopeOf(box);
  if (box.checked) boxes(scope).forEach((other) => { other.checked = true; });
  refresh(scope);
});
function clear(scope) {
  all("input[data-select-row], input[data-select-all], input[data-select-matching]", scope).forEach((box) => { box.checked = false; });
  refresh(scope);
}
on("click", "[data-select-clear]", (event, button) => clear(scopeOf(button)));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || isTyping(event.target) || openModal() || one(":popover-open") || one("dialog[data-drawer][open]")) return;
  all(".list:has(input[data-select-row]:checked)").forEach(clear);
});
document.addEventListener("htmx:afterSettle", () => all(".list").forEach(refresh));
all(".list").forEach(refresh);
