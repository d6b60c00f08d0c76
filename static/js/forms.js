/* Filter forms that send themselves, copy buttons, file drops, a guard against sending twice. */
import { announce, on, one } from "./dom.js";

/* <form data-auto-submit>: changes send at once, typing after a pause. */
let timer = 0;
on("change", "form[data-auto-submit]", (event, form) => {
  if (event.target.matches("input[type=text], input[type=search]")) return;
  form.requestSubmit();
});
on("input", "form[data-auto-submit]", (event, form) => {
  if (!event.target.matches("input[type=text], input[type=search]")) return;
  clearTimeout(timer);
  timer = setTimeout(() => form.requestSubmit(), 300);
});

/* Addresses stay short: fields left empty are not sent. */
document.addEventListener("formdata", (event) => {
  if (!event.target.matches("form[data-auto-submit]")) return;
  const names = new Set([...event.formData.keys()]);
  for (const name of names) {
    const kept = event.formData.getAll(name).filter((value) => value !== "");
    event.formData.delete(name);
    kept.forEach((value) => event.formData.append(name, value));
  }
});

/* <button data-copy> copies the code block it sits in, data-copy="#id" another element, data-copy-text="…" a text. */
on("click", "[data-copy], [data-copy-text]", async (event, button) => {
  const source = button.dataset.copy ? one(button.dataset.copy) : one("code, pre", button.parentElement);
  const text = button.dataset.copyText ?? source?.textContent ?? "";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (source) getSelection().selectAllChildren(source);
    return;
  }
  const label = one("[data-copy-label]", button);
  const done = one("#toasts")?.dataset.copied || "Copied";
  announce(done);
  if (!label || button.dataset.copying) return;
  const before = label.textContent;
  button.dataset.copying = "1";
  label.textContent = done;
  setTimeout(() => { label.textContent = before; delete button.dataset.copying; }, 1600);
});

/* File drop: the input covers the box, so dropping already works; show what was chosen. */
on("dragover", "[data-file-drop]", (event, box) => box.classList.add("is-over"));
on("dragleave", "[data-file-drop]", (event, box) => box.classList.remove("is-over"));
on("drop", "[data-file-drop]", (event, box) => box.classList.remove("is-over"));
on("change", "[data-file-drop] input[type=file]", (event, input) => {
  const size = (bytes) => bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} KB`;
  one("[data-file-name]", input.closest("[data-file-drop]")).textContent = [...input.files].map((file) => `${file.name} (${size(file.size)})`).join(", ");
});

/* A form sent twice is a record made twice. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method === "dialog" || form.method === "get" || form.matches("[hx-post], [hx-put], [hx-patch], [hx-delete]")) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  event.submitter?.setAttribute("aria-busy", "true");
  /* A download leaves the page where it is. */
  setTimeout(() => release(form), 8000);
});
function release(form) {
  delete form.dataset.sent;
  [...form.elements].forEach((field) => field.removeAttribute("aria-busy"));
}
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(release));

/* htmx answers 422 with the form: lead the focus to the first field in error. */
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.xhr?.status === 422) one("[aria-invalid=true]", event.target)?.focus();
});

/* <select data-go> of addresses. */
on("change", "select[data-go]", (event, select) => { if (select.value) location.assign(select.value); });
