// The table of a board: sort, search, filter, further columns. Without it the table is whole and in order of rank.
if (document.getElementById("board")) {
  const byId = (id) => document.getElementById(id);
  const table = byId("board");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = () => [...table.tHead.rows[0].cells];
  const title = (head) => head.querySelector("span, button").textContent;
  const further = JSON.parse(byId("further").textContent);
  const fixed = heads().length;
  const shown = new Set();

  // A cell's key: the number in full where it has one, else its text. Cells without a number come last either way.
  const key = (row, place, numeric) => {
    const cell = row.cells[place];
    const text = cell.dataset.v ?? cell.textContent.trim();
    return numeric ? (text.trim() === "" ? NaN : Number.parseFloat(text)) : text.toLowerCase();
  };
  function sort(place, direction) {
    const head = heads()[place];
    const numeric = head.dataset.sort === "number";
    const keyed = rows.map((row, number) => [key(row, place, numeric), number, row]);
    const empty = (value) => (numeric ? Number.isNaN(value) : value === "");
    keyed.sort(([a, i], [b, j]) => {
      if (empty(a) || empty(b)) return empty(a) - empty(b) || i - j;
      return direction * (a < b ? -1 : a > b ? 1 : 0) || i - j;
    });
    body.append(...keyed.map(([, , row]) => row));
    for (const other of heads()) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    byId("sort-by").value = `${place} ${direction}`;
    if (byId("sort-by").selectedIndex < 0) byId("sort-by").value = "";
  }
  function makeSortable(head) {
    const label = head.querySelector("span");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label.textContent;
    label.replaceWith(button);
    button.addEventListener("click", () => {
      sort(heads().indexOf(head), head.getAttribute("aria-sort") === "ascending" ? -1 : 1);
    });
  }
  heads().forEach((head, place) => {
    const option = (direction, words) => byId("sort-by").add(new Option(`${title(head)}, ${words}`, `${place} ${direction}`));
    option(1, head.dataset.sort === "number" ? "lowest first" : "A to Z");
    option(-1, head.dataset.sort === "number" ? "highest first" : "Z to A");
    makeSortable(head);
  });
  byId("sort-by").addEventListener("change", (event) => {
    const [place, direction] = event.target.value.split(" ").map(Number);
    sort(place, direction);
  });

  // Filters
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  for (const name of ["answer", "model"]) {
    const values = [...new Set(rows.map((row) => row.dataset[name]))].sort();
    for (const value of values) byId(`by-${name}`).add(new Option(value, value));
  }
  function filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const fits = words.every((word) => texts.get(row).includes(word))
        && ["answer", "model"].every((name) => ["", row.dataset[name]].includes(byId(`by-${name}`).value));
      row.hidden = !fits;
      count += fits;
    }
    byId("count").textContent = `${count} of ${rows.length} rows`;
  }
  for (const id of ["search", "by-answer", "by-model"]) byId(id).addEventListener("input", filter);

  // Further columns, made when they are asked for
  function toggle(number, on) {
    if (on) shown.add(number); else shown.delete(number);
    draw();
  }
  function draw() {
    const order = [...shown].sort((a, b) => a - b);
    for (const row of table.tHead.rows) while (row.cells.length > fixed) row.cells[fixed].remove();
    for (const row of rows) while (row.cells.length > fixed) row.cells[fixed].remove();
    for (const number of order) {
      const { title: name, about } = further.columns[number];
      const head = document.createElement("th");
      head.scope = "col";
      head.setAttribute("role", "columnheader");
      const numbers = rows.map((row) => Number.parseFloat(further.rows[row.id.slice(1)][number]));
      head.dataset.sort = numbers.some((value) => !Number.isNaN(value)) ? "number" : "text";
      const label = document.createElement("span");
      label.textContent = name;
      head.append(label);
      if (about) head.append(Object.assign(document.createElement("small"), { textContent: about }));
      table.tHead.rows[0].append(head);
      makeSortable(head);
      for (const row of rows) {
        const [value, rest] = further.rows[row.id.slice(1)][number].split(" [");
        const cell = row.insertCell();
        cell.setAttribute("role", "cell");
        cell.dataset.label = name;
        const text = document.createElement("span");
        text.textContent = value;
        cell.append(text);
        if (rest) cell.append(Object.assign(document.createElement("small"), { textContent: rest.replace(",", " to").replace("]", "") }));
      }
    }
  }
  further.columns.forEach(({ title: name }, number) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => toggle(number, box.checked));
    label.append(box, ` ${name}`);
    byId("columns").append(label);
  });

  byId("reset").addEventListener("click", () => {
    for (const id of ["search", "by-answer", "by-model"]) byId(id).value = "";
    for (const box of byId("columns").querySelectorAll("input")) box.checked = false;
    shown.clear();
    draw();
    for (const head of heads()) head.removeAttribute("aria-sort");
    body.append(...rows);
    byId("sort-by").selectedIndex = 0;
    filter();
  });
  byId("tools").hidden = false;
  filter();
}
