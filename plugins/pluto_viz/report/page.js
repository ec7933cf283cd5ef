"use strict";
// Tables sort by the column whose head is clicked: numbers by value, the rest by text; a second click turns the order around.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const rows = [...body.rows];
    const numeric = head.classList.contains("number");
    const value = (row) => row.cells[place].dataset.value;
    const known = (text) => Number.isFinite(Number(text));
    rows.sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (!numeric) return a.localeCompare(b, undefined, { numeric: true }) * (down ? -1 : 1);
      if (known(a) !== known(b)) return known(a) ? -1 : 1; // what is unknown stays below
      return known(a) ? (Number(a) - Number(b)) * (down ? -1 : 1) : 0;
    });
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }));
}
for (const input of document.querySelectorAll("input[type=search]")) {
  const rows = [...input.parentElement.querySelectorAll("tbody tr")];
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
