/* Popover menus: arrow keys, and a position where the browser has no anchor positioning. */
import { all, on, one } from "./dom.js";

const anchored = CSS.supports("position-area: block-end");
const invoker = (menu) => one(`[popovertarget="${CSS.escape(menu.id)}"]`);

function place(menu, button) {
  const at = button.getBoundingClientRect();
  const size = menu.getBoundingClientRect();
  const end = menu.classList.contains("menu--end");
  const left = end ? at.right - size.width : at.left;
  const below = at.bottom + 4;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - size.width - 8))}px`;
  menu.style.top = `${below + size.height > innerHeight - 8 ? Math.max(8, at.top - size.height - 4) : below}px`;
  menu.style.marginBlock = "0";
}

document.addEventListener("toggle", (event) => {
  const menu = event.target;
  if (!(menu instanceof HTMLElement) || !menu.matches(".menu[popover]")) return;
  const button = invoker(menu);
  const open = event.newState === "open";
  button?.setAttribute("aria-expanded", String(open));
  if (!open) return;
  if (!anchored && button) place(menu, button);
  (one("[autofocus], input:not([type=hidden]), select, textarea", menu) || one(".menu-item[aria-current]", menu) || one(".menu-item", menu))?.focus({ preventScroll: true });
}, true);

on("keydown", ".menu[popover]", (event, menu) => {
  const items = all(".menu-item:not(:disabled)", menu).filter((item) => item.offsetParent !== null);
  const index = items.indexOf(document.activeElement);
  if (index < 0 && event.target.matches("input, select, textarea")) return;
  const moves = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: -1 };
  if (event.key in moves && items.length) {
    event.preventDefault();
    items.at(moves[event.key] % items.length).focus();
  } else if (event.key.length === 1 && /\p{L}/u.test(event.key) && !event.ctrlKey && !event.metaKey) {
    const wanted = event.key.toLocaleLowerCase();
    const next = [...items.slice(index + 1), ...items.slice(0, index + 1)].find((item) => item.textContent.trim().toLocaleLowerCase().startsWith(wanted));
    next?.focus();
  }
});

on("click", ".menu[popover] .menu-item", (event, item) => {
  if (!item.hasAttribute("data-theme-set")) item.closest("[popover]").hidePopover();
});
