// Draws the diagrams of a page: mdBook leaves them as blocks of code.
for (const code of document.querySelectorAll("pre code.language-mermaid")) {
  const diagram = document.createElement("div");
  diagram.className = "mermaid";
  diagram.textContent = code.textContent;
  code.parentElement.replaceWith(diagram);
}
const dark = ["navy", "coal", "ayu"].some((name) => document.documentElement.classList.contains(name));
mermaid.initialize({ startOnLoad: true, theme: dark ? "dark" : "default" });
