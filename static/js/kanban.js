/* Kanban: the platform's drag events. Keyboard and touch use the card's "Move to…" menu, which posts the same request. */
import { csrfToken, on, one } from "./dom.js";
import { toast } from "./toasts.js";

let card = null;
let origin = null;

on("dragstart", "[data-card][draggable=true]", (event, element) => {
  card = element;
  origin = { parent: element.parentElement, next: element.nextElementSibling };
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", element.dataset.card);
  requestAnimationFrame(() => element.classList.add("is-dragging"));
});
on("dragend", "[data-card]", (event, element) => {
  element.classList.remove("is-dragging");
  document.querySelectorAll(".kanban-col.is-over").forEach((column) => column.classList.remove("is-over"));
  card = null;
});
on("dragover", "[data-column]", (event, column) => {
  if (!card) return;
  event.preventDefault();
  document.querySelectorAll(".kanban-col.is-over").forEach((other) => other !== column && other.classList.remove("is-over"));
  column.classList.add("is-over");
});
on("drop", "[data-column]", async (event, column) => {
  if (!card) return;
  event.preventDefault();
  column.classList.remove("is-over");
  const moved = card;
  const from = origin;
  if (from.parent.closest("[data-column]") === column) return;
  one("[data-column-cards]", column).prepend(moved);
  const back = () => from.parent.insertBefore(moved, from.next);
  try {
    const answer = await fetch(moved.dataset.moveUrl, {
      method: "POST",
      headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true", "HX-Target": "board", Accept: "text/html" },
      body: new URLSearchParams({ column: column.dataset.column }),
      credentials: "same-origin",
    });
    const raised = answer.headers.get("HX-Trigger");
    const told = raised?.includes('"toast"');
    if (raised) for (const [name, detail] of Object.entries(JSON.parse(raised))) document.body.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
    if (answer.status === 422) {
      /* More is needed, for example the reason of a loss: the answer is a dialog. */
      back();
      const holder = one("#board-dialog");
      if (holder) { holder.innerHTML = await answer.text(); window.htmx?.process(holder); one("dialog", holder)?.showModal(); }
    } else if (!answer.ok) {
      back();
      if (!told) toast({ text: one("#toasts")?.dataset.broken || "", level: "error" });
    } else document.body.dispatchEvent(new CustomEvent("board:moved", { detail: { card: moved.dataset.card, column: column.dataset.column }, bubbles: true }));
  } catch {
    back();
    toast({ text: one("#toasts")?.dataset.offline || "", level: "error" });
  }
});
