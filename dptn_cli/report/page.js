"use strict";
// The pair table. The page holds all rows as JSON; a hundred are shown at a time.
(() => {
  const source = document.getElementById("pair-data");
  if (!source) return; // No pair was scored.
  const data = JSON.parse(source.textContent);
  const body = document.querySelector("#pairs tbody");
  const buttons = [...document.querySelectorAll("#pairs thead button")];
  const status = document.getElementById("pairs-status");
  const [previous, next] = ["previous", "next"].map((id) => document.getElementById(id));
  const PAGE = 100;
  let matching = data.rows;
  let page = 0;
  let sorted = { column: -1, direction: 1 };

  const number = (value) => (value === "inf" ? Infinity : value);
  const isText = (column) => column < data.texts;

  function compare(a, b) {
    const [x, y] = [number(a[sorted.column]), number(b[sorted.column])];
    if (x === null || y === null) return (x === null) - (y === null); // Empty cells come last.
    if (x === y) return 0;
    return (x < y ? -1 : 1) * sorted.direction;
  }

  function cell(value, column) {
    const td = document.createElement("td");
    if (isText(column)) {
      td.className = "left";
      td.title = value;
    }
    if (value === null) td.textContent = "";
    else if (value === "inf") td.textContent = "∞";
    else td.textContent = isText(column) ? value : value.toFixed(4);
    return td;
  }

  function render() {
    const pages = Math.max(1, Math.ceil(matching.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    body.replaceChildren(
      ...matching.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
        const tr = document.createElement("tr");
        tr.append(...row.map(cell));
        return tr;
      }),
    );
    const count = matching.length;
    const pairs = count === 1 ? "1 pair" : `${count.toLocaleString("en")} pairs`;
    status.textContent = `${pairs}, page ${page + 1} of ${pages}`;
    previous.disabled = page === 0;
    next.disabled = page === pages - 1;
    buttons.forEach((button, column) => {
      const isSorted = column === sorted.column;
      const direction = sorted.direction > 0 ? "ascending" : "descending";
      button.closest("th").setAttribute("aria-sort", isSorted ? direction : "none");
      button.dataset.arrow = isSorted ? (sorted.direction > 0 ? " ▲" : " ▼") : "";
    });
  }

  function sortBy(column) {
    sorted = { column, direction: column === sorted.column ? -sorted.direction : 1 };
    matching = [...matching].sort(compare);
    page = 0;
    render();
  }

  document.getElementById("filter").addEventListener("input", (event) => {
    const query = event.target.value.toLowerCase();
    matching = data.rows.filter((row) =>
      row.slice(0, data.texts).some((text) => text.toLowerCase().includes(query)),
    );
    if (sorted.column >= 0) matching.sort(compare);
    page = 0;
    render();
  });
  buttons.forEach((button, column) => button.addEventListener("click", () => sortBy(column)));
  previous.addEventListener("click", () => { page -= 1; render(); });
  next.addEventListener("click", () => { page += 1; render(); });
  render();
})();
