// Forms: leaving with unsaved changes, sending twice, the first wrong field, showing a password.
import { text } from "./strings.js";

function snapshot(form) {
  return JSON.stringify([...new FormData(form)].map(([name, value]) => [name, value instanceof File ? value.name : value]));
}

function guard(form) {
  let before = null;
  let isSending = false;
  // Widgets fill their fields while the page starts, so the comparison begins at the first touch.
  const remember = () => {
    before ??= snapshot(form);
  };
  form.addEventListener("focusin", remember, { once: true });
  form.addEventListener("pointerdown", remember, { once: true });
  form.addEventListener("submit", () => {
    isSending = true;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!isSending && before !== null && snapshot(form) !== before) event.preventDefault();
  });
  window.addEventListener("pageshow", () => {
    isSending = false;
  });
}

function sendOnce() {
  // For the whole page, because parts of it come anew.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    // An answer that is a file leaves the page as it is.
    setTimeout(() => delete form.dataset.sent, 5000);
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
}

function startPasswordButtons() {
  for (const button of document.querySelectorAll("[data-password-switch]")) {
    const input = document.getElementById(button.dataset.passwordSwitch);
    button.addEventListener("click", () => {
      const isHidden = input.type === "password";
      input.type = isHidden ? "text" : "password";
      button.setAttribute("aria-label", text(isHidden ? "hidePassword" : "showPassword"));
      button.classList.toggle("is-shown", isHidden);
    });
  }
}

export function startForms() {
  for (const form of document.querySelectorAll("form[data-guard]")) guard(form);
  sendOnce();
  startPasswordButtons();
  const wrong = document.querySelector(".has-error :is(input, select, textarea):not([type=hidden])");
  wrong?.focus();
}
