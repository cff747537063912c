// A long multiple choice (the permissions of a role) as a searchable list of check boxes, grouped by screen.
import { text } from "./strings.js";

function splitLabel(label) {
  const at = label.lastIndexOf(" · ");
  return at < 0 ? ["", label] : [label.slice(0, at), label.slice(at + 3)];
}

function element(tag, className, content = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = content;
  return made;
}

function buildGroup(name, options, onChange) {
  const group = element("fieldset", "grants-group");
  const legend = element("legend", "grants-legend", name);
  const boxes = element("div", "grants-boxes");
  for (const option of options) {
    const label = element("label", "form-check");
    const box = element("input", "form-check-input");
    box.type = "checkbox";
    box.checked = option.selected;
    box.addEventListener("change", () => {
      option.selected = box.checked;
      onChange();
    });
    label.append(box, element("span", "form-check-label", splitLabel(option.text)[1]));
    boxes.append(label);
  }
  group.append(legend, boxes);
  group.dataset.words = `${name} ${options.map((option) => option.text).join(" ")}`.toLowerCase();
  return group;
}

export function startGrants(select) {
  const groups = new Map();
  for (const option of select.options) {
    const [name] = splitLabel(option.text.trim());
    groups.set(name, [...(groups.get(name) || []), option]);
  }
  const total = select.options.length;
  const panel = element("div", "grants");
  const head = element("div", "grants-head");
  const search = element("input", "form-control");
  const count = element("span", "grants-count");
  const list = element("div", "grants-list");
  const show = () => {
    count.textContent = text("grantedCount", { count: select.selectedOptions.length, total });
  };
  search.type = "search";
  search.placeholder = text("search");
  search.setAttribute("aria-label", text("search"));
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const group of list.children) group.hidden = !group.dataset.words.includes(wanted);
  });
  for (const name of [...groups.keys()].sort()) list.append(buildGroup(name, groups.get(name), show));
  head.append(search, count);
  panel.append(head, list);
  select.hidden = true;
  select.after(panel);
  show();
}
