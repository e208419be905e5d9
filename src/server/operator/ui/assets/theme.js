// Before the first paint: the theme that was chosen on this machine, if any.
(() => {
  let theme = null;
  try { theme = localStorage.getItem("theme"); } catch { /* storage is off: the system's theme */ }
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
})();
