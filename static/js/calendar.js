/* The calendar: the platform's drag events. Keyboard and touch use an entry's "Reschedule", which posts to the same address. */
import { csrfToken, on, one } from "./dom.js";

let entry = null;
let over = null;

function mark(cell) {
  over?.classList.remove("is-over");
  over = cell;
  over?.classList.add("is-over");
}
on("dragstart", "[data-cal-entry]", (event, element) => {
  entry = element;
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", element.dataset.moveUrl);
  requestAnimationFrame(() => element.classList.add("is-dragging"));
});
on("dragend", "[data-cal-entry]", (event, element) => {
  element.classList.remove("is-dragging");
  mark(null);
  entry = null;
});
on("dragover", "[data-cal-day]", (event, cell) => {
  if (!entry) return;
  event.preventDefault();
  if (cell !== over) mark(cell);
});
on("drop", "[data-cal-day]", (event, cell) => {
  if (!entry) return;
  event.preventDefault();
  const from = entry.closest("[data-cal-day]");
  const url = entry.dataset.moveUrl;
  mark(null);
  if (from === cell) return;
  const { calDay: day, calHour: hour = "" } = cell.dataset;
  window.htmx?.ajax("POST", url, {
    source: one("#calendar"),
    target: "#calendar",
    swap: "innerHTML",
    values: { day, hour, next: one("#calendar").dataset.here, csrfmiddlewaretoken: csrfToken() },
  });
});
on("change", "[data-autosubmit] select", (event, select) => select.form.requestSubmit());
