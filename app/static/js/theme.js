// Sets light or dark before the first paint: the stored choice, else what the system prefers.
(() => {
  let stored = null;
  try {
    stored = localStorage.getItem("quefang-theme");
  } catch {
    // A browser that refuses storage gets the system's preference every time.
  }
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.bsTheme = stored || (prefersDark ? "dark" : "light");
})();
