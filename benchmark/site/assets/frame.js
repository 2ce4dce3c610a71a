// On all pages. The theme: automatic, light or dark, kept in this browser where it allows that. Nothing is loaded or sent.
"use strict";
{
  const themes = ["automatic", "light", "dark"];
  const button = document.getElementById("theme");
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const keep = (name) => { try { localStorage.setItem("theme", name); } catch { /* a file may have no storage */ } };
  const show = (name) => {
    if (name === "automatic") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
  };
  let now = themes.includes(kept()) ? kept() : "automatic";
  button.hidden = false;
  show(now);
  button.addEventListener("click", () => {
    now = themes[(themes.indexOf(now) + 1) % themes.length];
    keep(now);
    show(now);
  });
}
// On a phone the rows of a table are drawn as cards, which takes its meaning from screen readers: it is given back.
for (const table of document.querySelectorAll("table.cards")) {
  table.setAttribute("role", "table");
  for (const part of table.querySelectorAll("thead, tbody")) part.setAttribute("role", "rowgroup");
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    for (const cell of row.cells) {
      cell.setAttribute("role", cell.tagName === "TD" ? "cell" : cell.scope === "row" ? "rowheader" : "columnheader");
    }
  }
}
