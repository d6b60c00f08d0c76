/*
 * The dialer's desk. Timers count from data-since, a countdown presses its button unless somebody types or waits, Alt+number says an
 * outcome while typing, and a lost network shows at once. A click on a phone number anywhere calls it, where the person may call.
 */
import { all, announce, csrfToken, isTyping, make, on, one, openModal } from "./dom.js";

const two = (number) => String(number).padStart(2, "0");

function clock(since) {
  const seconds = Math.max(0, Math.floor((Date.now() - new Date(since).getTime()) / 1000));
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

const waits = () => document.hidden || !navigator.onLine || openModal() || one(".menu:popover-open") || isTyping(document.activeElement);

function tick() {
  all("[data-since]").forEach((node) => { node.textContent = clock(node.dataset.since); });
  const countdown = one("[data-countdown]:not([data-stopped])");
  if (!countdown || waits()) return;
  const left = Number(countdown.dataset.countdown) - 1;
  countdown.dataset.countdown = left;
  const shown = one("[data-countdown-left]", countdown);
  if (shown) shown.textContent = Math.max(0, left);
  if (left <= 0) {
    countdown.dataset.stopped = "1";
    one(countdown.dataset.countdownGo)?.click();
  }
}
if (one("[data-desk]")) setInterval(tick, 1000);

on("click", "[data-countdown-stop]", (event, button) => {
  const countdown = button.closest("[data-countdown]");
  countdown.dataset.stopped = "1";
  countdown.hidden = true;
});

document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey || !one("[data-desk]") || openModal()) return;
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  const button = digit && one(`[data-alt-key="${digit}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.matches?.("[data-desk-notes]")) event.target.blur();
});

/* Drawn anew: the notes get the focus when somebody answers, and a changed state is said. */
let state = one(".desk-state")?.dataset.state;
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "desk") return;
  tick();
  const desk = one(".desk-state", event.target);
  if (!desk || desk.dataset.state === state) return;
  state = desk.dataset.state;
  announce(one(".desk-head .badge", desk)?.textContent.trim() || "");
  if (state === "on_call") one("[data-desk-notes]", desk)?.focus();
});
/* The dialog stands outside the form: what is chosen there is put into it. */
on("click", "[data-callback]", (event, button) => {
  const form = one("#outcome");
  one("[data-when]", form).value = button.dataset.callback;
  one("#callback-dialog").close();
  form.requestSubmit();
});

function network() {
  const banner = one("[data-desk-offline]");
  if (banner) banner.hidden = navigator.onLine;
  if (navigator.onLine) document.body.dispatchEvent(new CustomEvent("desk:beat"));
}
if (one("[data-desk]")) {
  addEventListener("online", network);
  addEventListener("offline", network);
}

/* tel: links call through the dialer. With a modifier key, or for who may not, the link is left to the device. */
on("click", "a[href^='tel:']", (event, link) => {
  const address = document.body.dataset.callUrl;
  if (!address || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const values = { phone: decodeURIComponent(link.getAttribute("href").slice(4)), lead: link.dataset.lead || "", next: location.pathname + location.search, csrfmiddlewaretoken: csrfToken() };
  const form = make("form", { method: "post", action: address, hidden: true }, ...Object.entries(values).map(([name, value]) => make("input", { type: "hidden", name, value })));
  document.body.append(form);
  form.submit();
});
