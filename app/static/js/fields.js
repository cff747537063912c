// Fields: date and time pickers, selects that search, long lists of check boxes.
import { startGrants } from "./grants.js";
import { text } from "./strings.js";

const LANGUAGES = { "zh-CN": "zh", "zh-Hant": "zh_tw" };
// A native select is better on a phone; searching only pays for longer lists.
const SEARCH_FROM = 9;
const GRANTS_FROM = 40;

function pickerOptions(input) {
  const common = {
    allowInput: true,
    time_24hr: true,
    locale: { ...flatpickr.l10ns[LANGUAGES[document.documentElement.lang] || "default"], firstDayOfWeek: 1 },
    minuteIncrement: Number(input.dataset.stepMinutes) || 5,
  };
  if (input.matches(".js-time")) return { ...common, enableTime: true, noCalendar: true, dateFormat: "H:i" };
  if (input.matches(".js-datetime")) return { ...common, enableTime: true, dateFormat: "Y-m-d H:i" };
  if (input.closest(".appbuilder_datetime")) return { ...common, enableTime: true, enableSeconds: true, dateFormat: "Y-m-d H:i:S" };
  return { ...common, dateFormat: "Y-m-d" };
}

function selectPlugins(select) {
  if (select.multiple) return { remove_button: { title: text("remove") } };
  // The search box sits in the list, so the chosen value stays readable while typing.
  return { dropdown_input: {}, ...(select.required ? {} : { clear_button: { title: text("clear") } }) };
}

function selectOptions(select) {
  return {
    maxOptions: null,
    hideSelected: select.multiple ? true : undefined,
    plugins: selectPlugins(select),
    placeholder: select.dataset.placeholder || "",
    render: { no_results: () => `<div class="no-results">${text("noResults")}</div>` },
  };
}

function remoteOptions(select) {
  return {
    ...selectOptions(select),
    valueField: "id",
    labelField: "text",
    searchField: [],
    preload: "focus",
    async load(query, done) {
      const address = new URL(select.dataset.url, location.href);
      address.searchParams.set("q", query);
      try {
        const answer = await fetch(address, { headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(String(answer.status));
        // Only what fits the last words stays, otherwise old answers mix with new ones.
        this.clearOptions((option) => this.items.includes(String(option.id)));
        done((await answer.json()).items);
      } catch {
        this.failed = true;
        done();
      }
    },
    render: {
      no_results() {
        return `<div class="no-results">${text(this.failed ? "loadFailed" : "noResults")}</div>`;
      },
      loading: () => `<div class="no-results">${text("searching")}</div>`,
    },
    onType() {
      this.failed = false;
    },
  };
}

function searchable(select, options) {
  new TomSelect(select, options);
  // The label now names the new control; the select behind it only carries the value.
  select.setAttribute("aria-hidden", "true");
  select.tomselect.wrapper.querySelector(".items-placeholder")?.setAttribute("aria-hidden", "true");
}

function enhanceSelect(select) {
  if (select.tomselect || select.closest("template")) return;
  if (select.matches(".js-remote-select")) {
    searchable(select, remoteOptions(select));
  } else if (select.multiple && select.options.length >= GRANTS_FROM) {
    startGrants(select);
  } else if (select.multiple || select.options.length >= SEARCH_FROM) {
    searchable(select, selectOptions(select));
  }
}

export function enhanceFields(root) {
  if (window.flatpickr) {
    const pickers = ".js-datetime, .js-date, .js-time, .appbuilder_datetime input, .appbuilder_date input";
    for (const input of root.querySelectorAll(pickers)) flatpickr(input, pickerOptions(input));
  }
  if (window.TomSelect) {
    for (const select of root.querySelectorAll("select.js-select, select.js-remote-select, select.my_select2")) enhanceSelect(select);
  }
}
