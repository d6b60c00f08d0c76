/* Edit in place: [data-edit] loads a form.inline-form into its cell. Enter saves, a choice saves, Esc puts the value back. */
import { on, one } from "./dom.js";

const before = new WeakMap();

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.requestConfig?.elt?.matches?.("[data-edit]")) before.set(event.detail.target, event.detail.target.innerHTML);
});
document.addEventListener("htmx:afterSettle", (event) => {
  const form = event.target.querySelector?.("form.inline-form");
  if (!form) return;
  const field = one("input:not([type=hidden]), select, textarea", form);
  field?.focus();
  if (field instanceof HTMLInputElement) field.select?.();
  if (field instanceof HTMLSelectElement) { try { field.showPicker(); } catch { /* needs a gesture */ } }
});

/* What was saved has the focus again, unless one has gone on meanwhile. */
document.addEventListener("htmx:afterSettle", (event) => {
  const saved = event.detail.requestConfig?.elt?.matches?.("form.inline-form") && event.target.matches?.("[data-edit]");
  if (saved && (document.activeElement === document.body || !document.activeElement)) event.target.focus({ preventScroll: true });
});

/* Where more is asked for, in a dialog, the value stands as it was until that is answered. */
document.addEventListener("htmx:afterSwap", (event) => {
  const form = event.detail.requestConfig?.elt;
  if (form?.matches?.("form.inline-form") && form.isConnected && event.detail.xhr?.getResponseHeader("HX-Retarget")) restore(form, { focus: false });
});

function restore(form, { focus = true } = {}) {
  const cell = form.parentElement;
  const html = before.get(cell);
  if (html === undefined) return;
  cell.innerHTML = html;
  window.htmx?.process(cell);
  if (focus) one("[data-edit]", cell)?.focus();
}
on("keydown", "form.inline-form", (event, form) => {
  if (event.key !== "Escape") return;
  event.preventDefault();
  event.stopPropagation();
  restore(form);
});
on("click", "[data-edit-cancel]", (event, button) => restore(button.form));
on("change", "form.inline-form select", (event, select) => select.form.requestSubmit());
on("focusout", "form.inline-form", (event, form) => {
  if (form.contains(event.relatedTarget)) return;
  const untouched = () => [...form.elements].every((field) => !("defaultValue" in field) || field.value === field.defaultValue);
  /* A list of choices takes the focus away while it is open; what is being saved stays. */
  setTimeout(() => {
    if (form.isConnected && untouched() && !form.contains(document.activeElement) && !form.classList.contains("htmx-request")) restore(form, { focus: false });
  }, 150);
});
