// Forms with data-refresh show at once what their fields would do: the named parts of the page come anew.
import { enhanceFields } from "./fields.js";

function swap(page, id) {
  const old = document.getElementById(id);
  const fresh = page.getElementById(id);
  if (!old || !fresh) return;
  const { name, value } = document.activeElement ?? {};
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(fresh);
  enhanceFields(fresh);
  if (hadFocus) [...fresh.querySelectorAll("input, select")].find((each) => each.name === name && each.value === value)?.focus();
}

export function startRefresh() {
  for (const form of document.querySelectorAll("form[data-refresh]")) {
    let latest = 0;
    form.addEventListener("change", async () => {
      const number = ++latest;
      const address = new URL(form.action);
      address.search = new URLSearchParams(new FormData(form)).toString();
      const ids = form.dataset.refresh.split(" ");
      for (const id of ids) document.getElementById(id)?.setAttribute("aria-busy", "true");
      try {
        const answer = await fetch(address, { headers: { Accept: "text/html" } });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        // Whoever changed something meanwhile waits for a later answer.
        if (number !== latest) return;
        // Another page, when the login has ended say, is shown as what it is.
        if (!ids.every((id) => page.getElementById(id))) {
          location.assign(address);
          return;
        }
        for (const id of ids) swap(page, id);
        history.replaceState(null, "", address);
        // On a phone the answer is below what was chosen.
        document.getElementById(form.dataset.refreshShow)?.scrollIntoView({ block: "nearest", behavior: "smooth" });
      } catch {
        // Without an answer the button of the form still asks for the whole page.
        for (const id of ids) document.getElementById(id)?.removeAttribute("aria-busy");
      }
    });
  }
}
