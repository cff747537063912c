// Buttons with data-confirm ask before their form is sent.
const confirmed = new WeakSet();

function ask(button, go) {
  const dialog = document.getElementById("modal-confirm");
  if (!dialog || !window.tabler) {
    if (window.confirm(button.dataset.confirm)) go();
    return;
  }
  const ok = dialog.querySelector("#modal-confirm-ok");
  const modal = tabler.Modal.getOrCreateInstance(dialog);
  dialog.querySelector(".modal-text").textContent = button.dataset.confirm;
  ok.className = `btn btn-${button.dataset.confirmStyle || "primary"}`;
  ok.onclick = () => {
    modal.hide();
    go();
  };
  dialog.addEventListener("shown.bs.modal", () => ok.focus(), { once: true });
  dialog.addEventListener("hidden.bs.modal", () => button.focus(), { once: true });
  modal.show();
}

export function startConfirm() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-confirm]");
    if (!button || confirmed.has(button)) return;
    event.preventDefault();
    ask(button, () => {
      confirmed.add(button);
      button.form.requestSubmit(button);
      confirmed.delete(button);
    });
  });
}
