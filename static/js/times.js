/* Keep <time data-relative> fresh, in words as the server chose them. */
const language = document.documentElement.lang || "en";
const formats = {
  short: new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "narrow" }),
  long: new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "long" }),
};
const loaded = Date.now();

function refresh() {
  document.querySelectorAll("time[data-relative]").forEach((node) => {
    if (!node.dateTime.includes("T")) return;
    const seconds = (new Date(node.dateTime).getTime() - Date.now()) / 1000;
    const size = Math.abs(seconds);
    /* Days and more do not change while a page is open; the server's words stay. */
    if (Number.isNaN(seconds) || size > 72000 || size < 60) return;
    const [value, unit] = size < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
    node.textContent = (formats[node.dataset.relative] || formats.long).format(Math.trunc(value), unit);
  });
}
setInterval(() => { if (!document.hidden && Date.now() - loaded > 55000) refresh(); }, 30000);
