/* Dialogs: invoker commands where the browser lacks them, and one place to ask "are you sure?". */
import { on, one } from "./dom.js";

if (!("command" in HTMLButtonElement.prototype)) {
  on("click", "button[commandfor]", (event, button) => {
    const dialog = document.getElementById(button.getAttribute("commandfor"));
    if (!(dialog instanceof HTMLDialogElement)) return;
    if (button.getAttribute("command") === "show-modal") dialog.showModal();
    if (button.getAttribute("command") === "close") dialog.close();
  });
}
if (!("closedBy" in HTMLDialogElement.prototype)) {
  document.addEventListener("click", (event) => {
    if (event.target instanceof HTMLDialogElement && event.target.getAttribute("closedby") === "any") event.target.close();
  });
}
on("click", "[data-dialog]", (event, opener) => {
  const dialog = document.getElementById(opener.dataset.dialog);
  if (!(dialog instanceof HTMLDialogElement)) return;
  event.preventDefault();
  dialog.showModal();
});

/** A dialog that arrives by htmx opens itself: <c-dialog data-open …>. */
document.addEventListener("htmx:load", (event) => {
  const found = event.target.matches?.("dialog[data-open]") ? event.target : one("dialog[data-open]", event.target);
  if (found && !found.open) {
    found.removeAttribute("data-open");
    found.showModal();
  }
});
/** The server may close what it answered: HX-Trigger: {"dialog:close": true}. */
document.addEventListener("dialog:close", () => one("dialog:modal")?.close());

let answer = null;
function ask(question, label, then) {
  const dialog = one("#confirm");
  if (!dialog) { if (window.confirm(question)) then(); return; }
  one("[data-confirm-text]", dialog).textContent = question;
  const button = one("[data-confirm-yes]", dialog);
  button.textContent = label || button.dataset.default;
  answer = then;
  dialog.showModal();
  button.focus();
}
on("click", "[data-confirm-yes]", (event, button) => {
  button.closest("dialog").close();
  answer?.();
  answer = null;
});
document.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  ask(event.detail.question, event.detail.elt.dataset.confirmLabel, () => event.detail.issueRequest(true));
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  const source = event.submitter?.dataset.confirm ? event.submitter : form;
  if (!source.dataset?.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  ask(source.dataset.confirm, source.dataset.confirmLabel, () => {
    form.dataset.confirmed = "1";
    form.requestSubmit(event.submitter || undefined);
    delete form.dataset.confirmed;
  });
}, true);
