// Lists: choosing rows, and the actions that need a choice.
import { text } from "./strings.js";

function startList(list) {
  const boxes = [...list.querySelectorAll("[data-row-check]")];
  const all = list.querySelector("[data-check-all]");
  const bar = list.querySelector("[data-selection]");
  if (!boxes.length) return;
  let last = null;

  function show() {
    const count = boxes.filter((box) => box.checked).length;
    for (const box of boxes) box.closest("[data-row]").classList.toggle("is-selected", box.checked);
    if (all) {
      all.checked = count === boxes.length;
      all.indeterminate = count > 0 && count < boxes.length;
    }
    if (bar) {
      bar.hidden = count === 0;
      bar.querySelector("[data-selection-count]").textContent = text("selectedCount", { count });
    }
  }

  for (const box of boxes) {
    box.addEventListener("click", (event) => {
      // Shift chooses everything between this row and the one before.
      if (event.shiftKey && last) {
        const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
        for (const between of boxes.slice(from, to + 1)) between.checked = box.checked;
      }
      last = box;
      show();
    });
  }
  all?.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  list.querySelector("[data-selection-clear]")?.addEventListener("click", () => {
    for (const box of boxes) box.checked = false;
    show();
  });
  show();
}

export function startLists() {
  for (const list of document.querySelectorAll("[data-list]")) startList(list);
}
