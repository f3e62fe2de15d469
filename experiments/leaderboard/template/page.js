"use strict";

// What there is to say of a row, by its id, as it is to be shown. Its texts are only ever shown through textContent.
const board = new Map(Object.entries(JSON.parse(document.getElementById("board").textContent)));
const tables = [...document.querySelectorAll("table.board")];
const byId = (id) => document.getElementById(id);

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// Sorting

function compare(one, other, sign) {
  if (one === "" || other === "") return (one === "") - (other === ""); // what is missing stays last
  const numbers = [Number(one), Number(other)];
  const order = numbers.some(Number.isNaN) ? one.localeCompare(other) : numbers[0] - numbers[1];
  return sign * order;
}

function sort(table, header, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const value = (row) => row.cells[header.cellIndex].dataset.value;
  const rows = [...table.tBodies[0].rows].sort((one, other) => compare(value(one), value(other), sign));
  table.tBodies[0].append(...rows);
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
}

const byRank = (table) => sort(table, table.tHead.rows[0].cells[1], "ascending"); // as built

for (const table of tables) {
  for (const header of table.tHead.rows[0].cells) {
    header.firstElementChild.disabled = false;
    header.firstElementChild.addEventListener("click", () => {
      const opposite = { ascending: "descending", descending: "ascending" };
      const direction = opposite[header.getAttribute("aria-sort")] ?? header.dataset.first;
      sort(table, header, direction);
      tell(`Sorted by ${header.textContent.trim()}, ${direction}.`);
    });
  }
  byRank(table);
}

// Columns

// Shows the chosen columns; says if the rows stand otherwise now, as nobody would see by what they were sorted.
function view() {
  let again = "";
  for (const table of tables) {
    table.dataset.view = controls.elements.view.value;
    if (table.querySelector("th[aria-sort]").offsetWidth > 0) continue;
    byRank(table);
    again = "Sorted by Rank, ascending.";
  }
  return again;
}

// Filters

function tell(prefix = "") {
  const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
  const shown = rows.filter((row) => !row.hidden).length;
  byId("status").textContent = `${prefix} ${shown} of ${rows.length} rows shown.`.trim();
}

function filter(said) {
  const words = byId("query").value.toLowerCase().split(/\s+/).filter(Boolean);
  const backbone = byId("backbone").value;
  const source = byId("source").value;
  const kind = byId("rows").value;
  for (const row of tables.flatMap((table) => [...table.tBodies[0].rows])) {
    const text = `${row.cells[0].textContent} ${row.dataset.called}`.toLowerCase();
    row.hidden =
      !words.every((word) => text.includes(word)) ||
      (kind !== "" && row.dataset.ranked !== kind) ||
      (backbone !== "" && row.dataset.backbone !== backbone) ||
      (source !== "" && row.dataset.source !== source);
    for (const mark of document.querySelectorAll(`.figure [data-row="${row.id.slice(4)}"]`)) {
      mark.toggleAttribute("hidden", row.hidden);
    }
  }
  for (const [figure, description] of described) {
    const marks = [...figure.querySelectorAll("[data-row]")];
    const shown = marks.filter((mark) => !mark.hasAttribute("hidden"));
    const whole = marks.every((mark) => shown.includes(mark) || mark.querySelector(".on") === null);
    figure.querySelector(".front").toggleAttribute("hidden", !whole); // a line through marks that are not there
    const some = shown.length < marks.length ? `${shown.length} of ${marks.length} marks are shown. ` : "";
    figure.querySelector("desc").textContent = some + description;
  }
  tell(said);
}

const controls = byId("controls");
const described = new Map(
  [...document.querySelectorAll("svg.figure")].map((figure) => [figure, figure.querySelector("desc").textContent]),
);

function follow() {
  filter(view());
}

controls.hidden = false;
controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("input", follow);
window.addEventListener("pageshow", follow); // after going back, the browser has restored what was chosen

// A method's runs: the page's fragment names the row, so that a link leads to it

const details = byId("details");
for (const link of document.querySelectorAll("[data-row]")) link.setAttribute("href", `#${link.dataset.row}`);

function open() {
  const row = board.get(location.hash.slice(1));
  if (row === undefined) return details.close();
  byId("details-title").textContent = row.method;
  const about = [`Backbone ${row.backbone}`, ...row.changes, `records by ${row.source}`];
  if (row.unranked) about.push(`not ranked: ${row.unranked}`);
  if (row.revisions.backbone) about.push(`backbone revision ${row.revisions.backbone}`);
  byId("details-about").textContent = about.join(" · ");
  byId("details-task").replaceChildren(...row.tasks.map((task) => element("option", task.title, { value: task.task })));
  show(row.tasks[0]);
  if (!details.open) details.showModal();
  byId("details-title").focus();
}

function show(task) {
  byId("details-task-about").textContent =
    `Median ${task.accuracy} %, interquartile range ${task.accuracy_iqr}, ` +
    `chance ${task.chance} %. ${task.examples} examples through each template.`;
  const head = element("tr");
  head.append(element("th", "Template", { scope: "col", class: "name" }));
  for (const run of task.runs) {
    const cell = element("th", run.seed === null ? "no seed" : `seed ${run.seed}`, { scope: "col" });
    cell.append(element("br"), element("small", run.digest));
    head.append(cell);
  }
  head.append(element("th", "median", { scope: "col" }));
  const line = (title, values) => {
    const row = element("tr");
    row.append(element("th", title, { scope: "row", class: "name" }));
    row.append(...values.map((value) => element("td", value)));
    return row;
  };
  const body = task.templates.map((template, i) => {
    return line(template, [...task.runs.map((run) => run.accuracy[i]), task.medians[i]]);
  });
  const foot = line("median", [...task.runs.map((run) => run.median), task.accuracy]);
  const parts = { thead: [head], tbody: body, tfoot: [foot] };
  byId("details-runs").replaceChildren(
    ...Object.entries(parts).map(([tag, rows]) => {
      const part = element(tag);
      part.append(...rows);
      return part;
    }),
  );
}

byId("details-task").addEventListener("change", (event) => {
  const row = board.get(location.hash.slice(1));
  show(row.tasks.find((task) => task.task === event.target.value));
});
byId("close").addEventListener("click", () => details.close());
details.addEventListener("close", () => {
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
});
window.addEventListener("hashchange", open);
follow();
open();
