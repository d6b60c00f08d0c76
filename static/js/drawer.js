/* Peek: what htmx puts into a drawer's body opens the drawer; j/k carry it along; Esc gives the focus back to the row. */
import { all, on, one, openModal } from "./dom.js";

const narrow = matchMedia("(max-width: 56.24rem)");
let opener = null;

on("click", "[data-peek]", (event, link) => { opener = link; });

document.addEventListener("htmx:afterSwap", (event) => {
  const drawer = event.target.closest?.("dialog[data-drawer]");
  if (!drawer) return;
  const had = document.activeElement;
  if (!drawer.open) {
    if (narrow.matches) drawer.showModal();
    else drawer.show();
    const viaRow = had?.closest?.("[data-row]") && drawer.dataset.follow;
    if (viaRow) had.focus({ preventScroll: true });
  }
  delete drawer.dataset.follow;
  one(".drawer-body", drawer).scrollTop = 0;
});

function close(drawer) {
  drawer.close();
  one(".drawer-body", drawer).replaceChildren();
  const row = one("[data-row].is-current [data-row-link]");
  (opener?.isConnected ? opener.closest("[data-row]")?.querySelector("[data-row-link]") || opener : row)?.focus({ preventScroll: true });
}
on("click", "[data-drawer-close]", (event, button) => close(button.closest("dialog[data-drawer]")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || openModal() || one(":popover-open") || event.target.closest?.(".inline-form")) return;
  all("dialog[data-drawer][open]").forEach(close);
});

on("row:current", "[data-row]", (event, row) => {
  const drawer = one("dialog[data-drawer][open]");
  const peek = drawer && one("[data-peek]", row);
  if (!peek) return;
  drawer.dataset.follow = "1";
  opener = peek;
  peek.click();
});
