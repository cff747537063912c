// Orders that are going on: times run down, overtime counts up, and a change by somebody else is shown.
const EVERY_MS = 15000;

function showCountdowns() {
  for (const place of document.querySelectorAll("[data-countdown]")) {
    const seconds = Math.max(0, Math.round((new Date(place.dateTime) - Date.now()) / 1000));
    const hours = Math.floor(seconds / 3600);
    const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, "0"));
    place.textContent = hours ? `${hours}:${parts.join(":")}` : parts.join(":");
    place.classList.toggle("is-urgent", seconds < 120);
  }
}

function yuan(fen) {
  return `¥${(fen / 100).toLocaleString("en-US", { minimumFractionDigits: 2 })}`;
}

function markOf(order) {
  const { status, end_at, total_fen, paid_fen, due_fen, refunded_fen } = order;
  return [status, end_at ?? "", total_fen, paid_fen, due_fen, refunded_fen, order.pending_change ? 1 : 0, order.overtime ? 1 : 0].join("|");
}

function isUntouched() {
  const fields = [...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea")];
  const isAsked = document.querySelector(".modal.show, main details[open]:not([data-open-at-first])");
  return !isAsked && fields.every((field) => field.value === field.defaultValue || field.tagName === "SELECT");
}

function show(order, place) {
  for (const part of document.querySelectorAll("[data-live-overtime]")) {
    if (!order.overtime) break;
    const { minutes, amount_fen } = order.overtime;
    part.textContent = part.dataset.liveOvertime === "minutes" ? minutes : yuan(amount_fen);
  }
  if (markOf(order) === place.dataset.liveMark) return;
  // What somebody is typing is not thrown away.
  if (isUntouched()) location.reload();
  else place.querySelector("[data-live-notice]").hidden = false;
}

export function startLive() {
  if (document.querySelector("[data-countdown]")) {
    showCountdowns();
    setInterval(showCountdowns, 1000);
  }
  const place = document.querySelector("[data-live-order]");
  if (!place) return;
  const look = async () => {
    // A page in the background asks nothing; a lost connection is tried again.
    if (!document.hidden) {
      const answer = await fetch(place.dataset.liveOrder, { headers: { Accept: "application/json" } }).catch(() => null);
      if (answer?.ok) show(await answer.json(), place);
    }
    setTimeout(look, EVERY_MS);
  };
  setTimeout(look, EVERY_MS);
}
