/*
 * <form data-composer>: choosing a tab leads to its text, Ctrl+Enter saves, calling or writing opens the tab where it is
 * recorded, and @ offers colleagues from data-people. Without scripts the form works as it stands.
 */
import { all, make, on, one } from "./dom.js";

on("change", "[data-composer] [name=activity_type]", (event, tab) => one("textarea", tab.form).focus());
on("click", "[data-composer] [name=activity_type]", (event, tab) => one("textarea", tab.form).focus());
on("keydown", "[data-composer] textarea", (event, text) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    text.form.requestSubmit();
  }
});
/* Calling or writing from the head of the page is what will be recorded next. */
on("click", "a[href^='tel:'], a[href^='mailto:']", (event, link) => {
  const form = one("[data-composer]");
  const tab = form && one(`[name=activity_type][value=${link.protocol === "tel:" ? "call" : "email"}]`, form);
  if (tab) tab.checked = true;
});

/* @ and what follows it, up to the cursor. */
const typedName = (text) => /(?:^|[\s(])@([^\s@][^@\n]{0,40}|)$/.exec(text.value.slice(0, text.selectionStart));
let asked = 0;

function close(text) {
  const list = one(`#${text.getAttribute("aria-controls")}`);
  list.hidden = true;
  list.replaceChildren();
  text.removeAttribute("aria-activedescendant");
}

function choose(text, option) {
  const found = typedName(text);
  if (!found) return close(text);
  const end = text.selectionStart;
  text.setRangeText(`@${option.textContent} `, end - found[1].length - 1, end, "end");
  close(text);
  text.focus();
}

function mark(text, option) {
  all("[role=option]", option.parentElement).forEach((other) => other.setAttribute("aria-selected", String(other === option)));
  text.setAttribute("aria-activedescendant", option.id);
}

on("input", "textarea[data-mentions]", async (event, text) => {
  const found = typedName(text);
  if (!found) return close(text);
  asked += 1;
  const mine = asked;
  const url = new URL(text.form.dataset.people, location.href);
  url.searchParams.set("q", found[1]);
  const answer = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok || mine !== asked) return;
  const { names } = await answer.json();
  const list = one(`#${text.getAttribute("aria-controls")}`);
  list.replaceChildren(...names.map((name, place) => make("li", { role: "option", id: `composer-person-${place}`, "aria-selected": "false" }, name)));
  list.hidden = names.length === 0;
  if (names.length) mark(text, list.firstElementChild);
});
on("keydown", "textarea[data-mentions]", (event, text) => {
  const list = one(`#${text.getAttribute("aria-controls")}`);
  if (list.hidden) return;
  const options = all("[role=option]", list);
  const present = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    mark(text, options[(present + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length]);
  } else if ((event.key === "Enter" && !event.ctrlKey && !event.metaKey) || event.key === "Tab") {
    event.preventDefault();
    choose(text, options[present]);
  } else if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    close(text);
  }
});
on("mousedown", ".composer-people [role=option]", (event, option) => {
  event.preventDefault();
  choose(one("textarea[data-mentions]", option.closest("form")), option);
});
on("focusout", "textarea[data-mentions]", (event, text) => close(text));
