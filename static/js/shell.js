/* Sidebar: collapse to icons, off-canvas on narrow screens; the theme choice. */
import { all, on, one, store } from "./dom.js";

const root = document.documentElement;

on("click", "[data-sidebar-toggle]", () => {
  const collapsed = root.dataset.sidebar !== "collapsed";
  if (collapsed) root.dataset.sidebar = "collapsed";
  else delete root.dataset.sidebar;
  store.set("sidebar", collapsed ? "collapsed" : null);
});

const sidebar = one("#sidebar");
function showSidebar(open) {
  sidebar?.classList.toggle("is-open", open);
  if (open) sidebar?.querySelector("a, button")?.focus();
  else one("[data-sidebar-open]")?.focus();
}
on("click", "[data-sidebar-open]", (event) => { event.preventDefault(); showSidebar(true); });
on("click", "[data-sidebar-close]", (event) => { event.preventDefault(); showSidebar(false); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && sidebar?.classList.contains("is-open") && !one(":popover-open")) showSidebar(false);
});

function markTheme() {
  const theme = root.dataset.theme || "auto";
  all("[data-theme-set]").forEach((button) => {
    if (button.dataset.themeSet === theme) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
}
on("click", "[data-theme-set]", (event, button) => {
  const theme = button.dataset.themeSet;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  store.set("theme", theme);
  markTheme();
});
markTheme();

/* ⌘ on a Mac, Ctrl elsewhere: the server cannot know. */
const mac = /Mac|iP(hone|ad)/.test(navigator.platform);
all(".key > kbd").forEach((cap) => { if (cap.textContent === "⌘/Ctrl") cap.textContent = mac ? "⌘" : "Ctrl"; });
