/* Columns of a list: a heading's edge is dragged, or moved with the arrow keys, and the columns menu puts them in order.
   Widths are kept in the address, as `w=company:220`, so that links and saved views keep them. */
import { all, announce, make, on, one } from "./dom.js";

const STEP = 16;
const headings = (table) => all("thead th[data-col]", table);
const bounds = (table) => [Number(table.dataset.narrowest), Number(table.dataset.widest)];

function equip() {
  for (const table of all("table[data-resizable]")) {
    for (const th of headings(table)) {
      if (one(".col-edge", th)) continue;
      const [least, most] = bounds(table);
      const name = (one(".sort, .heading", th) || th).textContent.trim();
      th.append(make("span", {
        class: "col-edge", role: "separator", tabindex: "0", "aria-orientation": "vertical", "aria-label": table.dataset.resizable.replace("%s", name),
        "aria-valuemin": String(least), "aria-valuemax": String(most), "aria-valuenow": String(Math.round(th.offsetWidth)),
      }));
    }
  }
}

/** Give a column a width in pixels, or with null the one its text wants. */
function size(th, width) {
  const table = th.closest("table");
  const [least, most] = bounds(table);
  const wanted = width === null ? null : Math.round(Math.max(least, Math.min(most, width)));
  const col = all("col", table)[th.cellIndex];
  if (wanted === null) col.removeAttribute("width");
  else col.setAttribute("width", String(wanted));
  const cells = all("[data-row]", table).map((row) => row.cells[th.cellIndex]).filter(Boolean);
  for (const cell of [th, ...cells]) cell.toggleAttribute("data-sized", wanted !== null);
  one(".col-edge", th).setAttribute("aria-valuenow", String(wanted ?? Math.round(th.offsetWidth)));
}

const widthsOf = (table) => headings(table).flatMap((th) => {
  const width = all("col", table)[th.cellIndex].getAttribute("width");
  return width ? [`${th.dataset.col}:${width}`] : [];
});

function carry(params, widths) {
  params.delete("w");
  widths.forEach((width) => params.append("w", width));
  return params;
}

/** What is on the page leads on with the new widths: rows, headings, groups, further rows, what is done with a selection. */
function readdress(list, widths) {
  const changed = (href) => {
    const url = new URL(href, location.href);
    carry(url.searchParams, widths);
    return url.pathname === location.pathname ? url.search : url.pathname + url.search;
  };
  for (const link of all("thead a.sort, .group-row a", list)) link.setAttribute("href", changed(link.href));
  for (const link of all("a[data-row-link]", list)) {
    const url = new URL(link.href);
    url.searchParams.set("from", carry(new URLSearchParams(url.searchParams.get("from") || ""), widths).toString());
    link.setAttribute("href", url.pathname + url.search);
  }
  for (const link of all(".list-foot a[hx-get]", list)) {
    const copy = link.cloneNode(true);
    for (const name of ["href", "hx-get"]) copy.setAttribute(name, changed(link.getAttribute(name)));
    link.replaceWith(copy);
    window.htmx?.process(copy);
  }
  const query = one("#bulk input[name=query]", list);
  if (query) query.value = carry(new URLSearchParams(query.value), widths).toString();
}

/** Put the widths into the address, and have the bars over the rows drawn anew: they know views and what is not saved. */
let asked = 0;
async function keep(table) {
  const list = table.closest(".list");
  const widths = widthsOf(table);
  const url = new URL(location.href);
  carry(url.searchParams, widths);
  history.replaceState(history.state, "", url);
  readdress(list, widths);
  const mine = ++asked;
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" } });
    if (!answer.ok || mine !== asked || !list.isConnected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const selector of [".view-tabs", ".toolbar"]) {
      const [old, young] = [one(selector, list), one(`#list ${selector}`, fresh)];
      if (!old || !young || old.contains(document.activeElement) || one(":popover-open", old)) continue;
      const own = document.adoptNode(young);
      old.replaceWith(own);
      window.htmx?.process(own);
    }
  } catch { /* The address is right all the same. */ }
}

const later = new WeakMap();
function keepSoon(table) {
  clearTimeout(later.get(table));
  later.set(table, setTimeout(() => keep(table), 500));
}

on("pointerdown", ".col-edge", (event, edge) => {
  if (event.button !== 0) return;
  event.preventDefault();
  edge.focus({ preventScroll: true });
  const th = edge.closest("th");
  const [from, width, sign] = [event.clientX, th.offsetWidth, getComputedStyle(th).direction === "rtl" ? -1 : 1];
  let moved = false;
  edge.setPointerCapture(event.pointerId);
  edge.classList.add("is-dragged");
  const drag = (to) => {
    if (!moved && Math.abs(to.clientX - from) < 3) return;
    moved = true;
    size(th, width + sign * (to.clientX - from));
  };
  const end = () => {
    edge.classList.remove("is-dragged");
    edge.removeEventListener("pointermove", drag);
    if (moved) keepSoon(th.closest("table"));
  };
  edge.addEventListener("pointermove", drag);
  edge.addEventListener("lostpointercapture", end, { once: true });
});

on("dblclick", ".col-edge", (event, edge) => { size(edge.closest("th"), null); keepSoon(edge.closest("table")); });

on("keydown", ".col-edge", (event, edge) => {
  const th = edge.closest("th");
  const sign = getComputedStyle(th).direction === "rtl" ? -1 : 1;
  const steps = { ArrowLeft: -sign * STEP, ArrowRight: sign * STEP }[event.key];
  const [least, most] = bounds(th.closest("table"));
  if (steps) size(th, th.offsetWidth + steps * (event.shiftKey ? 4 : 1));
  else if (event.key === "Home") size(th, least);
  else if (event.key === "End") size(th, most);
  else if (event.key === "Enter" || event.key === "Delete") size(th, null);
  else return;
  event.preventDefault();
  event.stopPropagation();
  keepSoon(th.closest("table"));
});

/* Order: the buttons move a line of the menu; without scripts the server does it. */
on("click", "[data-order] [data-move]", (event, button) => {
  event.preventDefault();
  const item = button.closest("li");
  const other = button.dataset.move === "1" ? item.nextElementSibling : item.previousElementSibling;
  if (!other) return;
  if (button.dataset.move === "1") other.after(item);
  else other.before(item);
  button.focus();
  announce(button.dataset.said);
});

document.addEventListener("htmx:afterSettle", equip);
equip();
