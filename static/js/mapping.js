/* <form data-mapping>: a field that one column fills is not offered to the others. Own fields and leaving out may repeat. */
import { all, on } from "./dom.js";

const MANY = new Set(["custom:", "-"]);

function refresh(form) {
  const selects = all("select", form);
  const taken = new Map();
  for (const select of selects) if (!MANY.has(select.value) && !taken.has(select.value)) taken.set(select.value, select);
  for (const select of selects) {
    for (const option of select.options) {
      const holder = taken.get(option.value);
      option.disabled = holder !== undefined && holder !== select && select.value !== option.value;
    }
  }
}

on("change", "form[data-mapping] select", (event, select) => refresh(select.form));
all("form[data-mapping]").forEach(refresh);
