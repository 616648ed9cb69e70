"use strict";
// Links lead to subjects of any window: the one of the target is chosen first.
for (const link of document.querySelectorAll('a[href^="#"]'))
  link.addEventListener("click", () => choose(link.hash));
choose(location.hash);

function choose(hash) {
  const target = document.getElementById(hash.slice(1));
  const view = target?.closest(".window");
  const choice = view && document.getElementById(view.classList[1]);
  if (!choice) return;
  choice.checked = true;
  target.scrollIntoView();
}

// Sorts the tables of subjects; without it they stand in the order of the page.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  for (const heading of table.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(heading, body));
  }
}

function sort(heading, body) {
  const column = heading.cellIndex;
  const numeric = heading.dataset.sort === "number";
  // Numbers begin with the largest, words with the first.
  const first = numeric ? "descending" : "ascending";
  const other = numeric ? "ascending" : "descending";
  const order = heading.ariaSort === first ? other : first;
  for (const each of heading.parentElement.cells) each.ariaSort = null;
  heading.ariaSort = order;
  const sign = order === "ascending" ? 1 : -1;
  const compare = numeric ? (x, y) => x - y : (x, y) => x.localeCompare(y, "en");
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const rows = [...body.rows].sort((a, b) => {
    const x = value(a), y = value(b);
    // What has no value comes last either way.
    if (x === "" || y === "") return (x === "") - (y === "");
    return sign * compare(x, y);
  });
  body.append(...rows);
}
