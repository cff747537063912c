// Frame of the page: dark mode, menu groups, tabs that survive a reload.
const THEME_KEY = "quefang-theme";
const GROUP_KEY = "quefang-menu-groups";

function read(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Without storage the choice lasts for this page only.
  }
}

function startTheme() {
  const root = document.documentElement;
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    const show = () => button.setAttribute("aria-pressed", String(root.dataset.bsTheme === "dark"));
    button.addEventListener("click", () => {
      root.dataset.bsTheme = root.dataset.bsTheme === "dark" ? "light" : "dark";
      write(THEME_KEY, root.dataset.bsTheme);
      show();
    });
    show();
  }
}

function startMenu() {
  const stored = read(GROUP_KEY, {});
  for (const group of document.querySelectorAll("[data-nav-group]")) {
    const name = group.dataset.navGroup;
    if (!("current" in group.dataset) && name in stored) group.open = stored[name];
    group.addEventListener("toggle", () => {
      stored[name] = group.open;
      write(GROUP_KEY, JSON.stringify(stored));
    });
  }
  document.querySelector(".app-nav-link.active")?.scrollIntoView({ block: "nearest" });
}

function startTabs() {
  const tabs = [...document.querySelectorAll('[data-bs-toggle="tab"]')];
  // Not the plain id: the browser would scroll to it.
  const mark = (id) => `#tab:${id}`;
  for (const tab of tabs) {
    tab.addEventListener("shown.bs.tab", () => history.replaceState(null, "", mark(tab.dataset.bsTarget.slice(1))));
  }
  const wanted = tabs.find((tab) => mark(tab.dataset.bsTarget.slice(1)) === location.hash);
  if (wanted) tabler.Tab.getOrCreateInstance(wanted).show();
  // Sorting or paging inside a tab comes back to the same tab.
  for (const pane of document.querySelectorAll(".tab-pane[id]")) {
    for (const link of pane.querySelectorAll('a[href^="?"]')) link.hash = mark(pane.id);
  }
}

export function startShell() {
  startTheme();
  startMenu();
  startTabs();
}
