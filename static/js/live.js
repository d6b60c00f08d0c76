/*
 * Live events: <body data-events-url>. A message is JSON {"event": "operation.progress", "data": {…}}, or a named
 * server-sent event listed in data-events="a b". Either becomes a DOM event live:<name> on body, so that
 * hx-trigger="live:operation.progress from:body" works. Without a stream, live:poll comes every 15 seconds.
 */
const { body } = document;
const url = body.dataset.eventsUrl;
const send = (name, detail) => body.dispatchEvent(new CustomEvent(`live:${name}`, { detail, bubbles: true }));
const parse = (text) => { try { return JSON.parse(text); } catch { return text; } };

let source = null;
let failures = 0;
let poll = 0;
let wait = 0;

function startPolling() {
  if (!poll) poll = setInterval(() => { if (!document.hidden) send("poll", {}); }, 15000);
}
function stopPolling() {
  clearInterval(poll);
  poll = 0;
}

function connect() {
  clearTimeout(wait);
  source?.close();
  source = new EventSource(url, { withCredentials: true });
  source.onopen = () => {
    if (failures) send("open", {});
    failures = 0;
    stopPolling();
  };
  source.onmessage = ({ data }) => {
    const message = parse(data);
    const name = message?.event || message?.name || message?.type;
    if (name) send(name, message.data ?? message);
  };
  for (const name of (body.dataset.events || "").split(" ").filter(Boolean)) {
    source.addEventListener(name, ({ data }) => send(name, parse(data)));
  }
  source.onerror = () => {
    failures += 1;
    if (failures >= 3) startPolling();
    if (source.readyState === EventSource.CLOSED) wait = setTimeout(connect, Math.min(60000, 2000 * 2 ** failures));
  };
}

if (url) {
  if ("EventSource" in window) {
    connect();
    addEventListener("pagehide", () => source?.close());
    addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
  } else startPolling();
}
