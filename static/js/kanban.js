/* Kanban: the platform's drag events, and the card's "Move to…" menu, which posts the same request and works without this. */
import { csrfToken, on, one } from "./dom.js";
import { toast } from "./toasts.js";

let card = null;
let origin = null;
let movedAt = 0;

const places = () => document.querySelectorAll(".kanban-col.is-over");

/* Ask for the move of a card that stands in its new column already; `back` puts it where it was. */
async function move(moved, column, back) {
  movedAt = Date.now();
  try {
    const answer = await fetch(moved.dataset.moveUrl, {
      method: "POST",
      headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true", "HX-Target": "board", Accept: "text/html" },
      body: new URLSearchParams({ column, next: location.pathname + location.search }),
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
    } else document.body.dispatchEvent(new CustomEvent("board:moved", { detail: { card: moved.dataset.card, column }, bubbles: true }));
  } catch {
    back();
    toast({ text: one("#toasts")?.dataset.offline || "", level: "error" });
  }
}

function place(moved, column) {
  const from = { parent: moved.parentElement, next: moved.nextElementSibling };
  one("[data-column-cards]", column)?.prepend(moved);
  move(moved, column.dataset.column, () => from.parent.insertBefore(moved, from.next));
}

on("dragstart", "[data-card][draggable=true]", (event, element) => {
  card = element;
  origin = element.closest("[data-column]");
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", element.dataset.card);
  requestAnimationFrame(() => element.classList.add("is-dragging"));
});
on("dragend", "[data-card]", (event, element) => {
  element.classList.remove("is-dragging");
  places().forEach((column) => column.classList.remove("is-over"));
  card = null;
});
on("dragover", "[data-column]", (event, column) => {
  if (!card) return;
  event.preventDefault();
  places().forEach((other) => other !== column && other.classList.remove("is-over"));
  column.classList.add("is-over");
});
on("drop", "[data-column]", (event, column) => {
  if (!card) return;
  event.preventDefault();
  column.classList.remove("is-over");
  if (column !== origin) place(card, column);
});
on("submit", "[data-card] form[data-move]", (event, form) => {
  const moved = form.closest("[data-card]");
  const column = document.querySelector(`[data-column="${CSS.escape(event.submitter?.value ?? "")}"]`);
  if (!moved?.dataset.moveUrl || !column) return;
  event.preventDefault();
  form.closest("[popover]")?.hidePopover();
  place(moved, column);
});

/* Somebody else moved a lead: the numbers follow by themselves, the cards when one asks for them. */
document.body.addEventListener("live:lead.status_changed", () => {
  const hint = one("#board-changed");
  if (hint && Date.now() - movedAt > 5000) hint.hidden = false;
});
