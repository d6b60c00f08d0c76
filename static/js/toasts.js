/* Toasts leave by themselves unless they report an error or are being read. From the server: messages, or HX-Trigger {"toast": {text, level, undo}}. */
import { all, on, one } from "./dom.js";

const region = one("#toasts");

function leave(toast) {
  if (!toast.isConnected) return;
  toast.classList.add("is-leaving");
  setTimeout(() => toast.remove(), 200);
}

function start(toast) {
  if (toast.dataset.started) return;
  toast.dataset.started = "1";
  if (toast.dataset.level === "error") return;
  let left = toast.querySelector("form") ? 12000 : 6000;
  let timer = 0;
  let since = 0;
  const run = () => { since = Date.now(); timer = setTimeout(() => leave(toast), left); };
  const hold = () => { clearTimeout(timer); left = Math.max(2000, left - (Date.now() - since)); };
  toast.addEventListener("pointerenter", hold);
  toast.addEventListener("focusin", hold);
  toast.addEventListener("pointerleave", run);
  toast.addEventListener("focusout", run);
  run();
}

export function toast({ text, level = "info", undo = "", url = "" }) {
  const template = one(`#toast-${level}`) || one("#toast-info");
  if (!template || !region) return;
  const node = template.content.firstElementChild.cloneNode(true);
  const place = one(".text", node);
  if (url.startsWith("/") && !url.startsWith("//")) {
    const link = document.createElement("a");
    link.href = url;
    link.textContent = text;
    place.replaceChildren(link);
  } else place.textContent = text;
  const form = one("form", node);
  if (form && undo) form.action = undo;
  else form?.remove();
  region.append(node);
  start(node);
}

on("click", "[data-toast-close]", (event, button) => leave(button.closest("[data-toast]")));
document.body.addEventListener("live:notification.made", ({ detail }) => { if (!document.hidden && detail.title) toast({ text: detail.title, url: detail.url }); });
document.addEventListener("toast", (event) => toast(event.detail.value ?? event.detail));
if (region) {
  all("[data-toast]", region).forEach(start);
  new MutationObserver(() => all("[data-toast]", region).forEach(start)).observe(region, { childList: true });
}

const words = () => region?.dataset ?? {};
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  const text = status === 403 ? words().forbidden : status === 404 ? words().gone : status === 429 ? words().slow : words().broken;
  toast({ text: text || `Error ${status}`, level: "error" });
});
document.addEventListener("htmx:sendError", () => toast({ text: words().offline || "Offline", level: "error" }));
