// The counter: change while the cashier types what was received, and the button of the printer.
const AMOUNT = /^(\d{1,7})(?:\.(\d{0,2}))?$/;

// Yuan as people type them, in whole fen; null while it is no amount.
function fenOf(typed) {
  const found = AMOUNT.exec(typed.normalize("NFKC").replace(/[¥元,\s]/g, ""));
  return found && Number(found[1]) * 100 + Number((found[2] || "").padEnd(2, "0"));
}

function yuan(fen) {
  return `¥${Math.floor(fen / 100).toLocaleString("en-US")}.${String(fen % 100).padStart(2, "0")}`;
}

function startCash(form) {
  const due = Number(form.dataset.cashDue);
  const input = form.querySelector("[data-cash-tendered]");
  const output = form.querySelector("[data-cash-change]");
  const show = () => {
    const fen = input.value.trim() ? fenOf(input.value) : due;
    const isShort = fen !== null && fen < due;
    output.classList.toggle("is-short", isShort);
    output.textContent = fen === null ? "—" : isShort ? output.dataset.tooLittle : yuan(fen - due);
  };
  input.addEventListener("input", show);
  show();
}

export function startCounter() {
  for (const form of document.querySelectorAll("[data-cash-due]")) startCash(form);
  for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => window.print());
}
