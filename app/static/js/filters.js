// Filter bar: adds a row per chosen column; the form itself is a plain GET form.
import { enhanceFields } from "./fields.js";
import { text } from "./strings.js";

let serial = 0;

function addRow(form, column) {
  const template = form.querySelector(`template[data-column="${CSS.escape(column)}"]`);
  const row = template.content.firstElementChild.cloneNode(true);
  const operator = row.querySelector("[data-operator]");
  const control = row.querySelector("[data-value] :is(select, input, textarea)");
  const rename = () => {
    control.name = `_flt_${operator.value}_${column}`;
  };
  serial += 1;
  control.id = `filter-${serial}`;
  control.required = false;
  control.removeAttribute("placeholder");
  row.querySelector("label").htmlFor = control.id;
  if (control.type === "checkbox") {
    // A column that is true or false: the operator says which, the value is always "yes".
    control.type = "hidden";
    control.value = "y";
    control.parentElement.classList.add("filter-fixed");
    control.after(text("yes"));
  } else {
    control.classList.remove("form-control", "my_select2");
    control.classList.add(...(control.matches("select") ? ["form-select", "js-select"] : ["form-control"]));
  }
  operator.addEventListener("change", rename);
  row.querySelector("[data-remove]").addEventListener("click", () => {
    row.remove();
    form.classList.toggle("has-rows", Boolean(form.querySelector("[data-rows] > *")));
  });
  rename();
  form.querySelector("[data-rows]").append(row);
  form.classList.add("has-rows");
  enhanceFields(row);
  // A date field would open its calendar over the page, so the condition gets the focus there.
  (row.querySelector("[data-value] :is(select:not(.tomselected), input:not([type=hidden], .flatpickr-input))") || operator).focus();
}

export function startFilters() {
  for (const form of document.querySelectorAll("form[data-filters]")) {
    for (const choice of form.querySelectorAll("[data-add-filter]")) {
      choice.addEventListener("click", () => addRow(form, choice.dataset.addFilter));
    }
    form.addEventListener("submit", () => {
      // Empty fields would only lengthen the address.
      for (const input of form.elements) if (input.name && input.value === "") input.disabled = true;
    });
    window.addEventListener("pageshow", () => {
      for (const input of form.elements) input.disabled = false;
    });
  }
}
