// The leaderboard: means or single runs, filtered and sorted.

const board = {
  mode: "means",
  sort: null, // a column's key; null: the tables' order
  descending: true,
  open: new Set(), // rows whose single runs are shown
  chosen: [], // at most two runs to compare
  order: [], // of the runs, as they are listed
  groups: new Set(), // of measures whose columns are shown
};
const GROUPS = { scores: "scores", holdout: "held-out", "label-free": "without labels" };
const ROOM = 9; // columns of measures that a common screen has room for

/** Columns of the present mode: key, title, kind, and what a row's or run's cell holds. */
function columns() {
  const swept = report.runs.some((run) => run.setting);
  const means = board.mode === "means";
  const figures = report.figures.filter(({ key, group }) => board.groups.has(group) && (means || key !== "pairs"));
  return [
    { key: "data", title: "data" },
    { key: "method", title: "method" },
    ...(swept ? [{ key: "setting", title: "setting" }] : []),
    means ? { key: "n", title: "runs", number: true } : { key: "seed", title: "seed", number: true },
    ...figures.map((figure) => ({ ...figure, number: true, figure: true })),
    { key: "seconds", title: "seconds", number: true },
  ];
}

/** What a row or run is sorted by: [whether it goes below, value]. */
function rank(item, column) {
  if (!column.figure) return [item[column.key] === null, item[column.key]];
  const found = item.figures[column.key];
  if (board.mode === "single") return [found === undefined ? 2 : 0, found];
  return found ? [found.mean ? 0 : 1, found.rank] : [2, 0];
}

function sorted(items) {
  const column = columns().find((each) => each.key === board.sort);
  if (!column) return items;
  const way = board.descending ? -1 : 1;
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  return [...items].sort((one, other) => {
    const [a, b] = [rank(one, column), rank(other, column)];
    return a[0] - b[0] || (a[1] === b[1] ? 0 : way * compare(a[1], b[1]));
  });
}

/** What a run is held against: every word must occur, numbers as a whole; "seed 3" is one word. */
function wanted() {
  const words = byId("query").value.toLowerCase().replace(/\bseed\s+(?=\d)/g, "seed=").split(/\s+/).filter(Boolean);
  const literal = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const whole = (word) => `${/^\d/.test(word) ? "(?<![\\d.])" : ""}${literal(word)}${/\d$/.test(word) ? "(?![\\d.])" : ""}`;
  const patterns = words.map((word) => new RegExp(whole(word)));
  const [data, method] = [byId("data").value, byId("method").value];
  return (run) => (!data || run.data === data) && (!method || run.method === method) && patterns.every((each) => each.test(run.words));
}

function control(run) {
  const box = make("input", { type: "checkbox", "aria-label": `compare ${nameOf(run)}` });
  box.checked = board.chosen.includes(run.id);
  box.addEventListener("change", () => choose(run.id, box.checked));
  return make("td", { class: "control" }, box);
}

function choose(id, wanted) {
  board.chosen = board.chosen.filter((other) => other !== id);
  if (wanted) board.chosen = [...board.chosen, id].slice(-2);
  showBoard();
  document.querySelector(`tr[data-run="${id}"] input`)?.focus();
}

/** A number with a bar beneath it that is as long as it is large; what follows ± is set smaller. */
function figureCell(text, share, classes) {
  const [centre, spread] = text.split(" ± ");
  const small = spread === undefined ? null : make("span", { class: "spread" }, ` ± ${spread}`);
  const cell = make("td", { class: `number share ${classes}` }, centre, small);
  cell.style.backgroundSize = `${Math.max(0, Math.min(100, 100 * share)).toFixed(0)}% 3px`;
  return cell;
}

function cellOf(item, column) {
  if (column.key === "setting") return make("td", { class: "setting" }, item.setting);
  if (column.key === "seconds") return make("td", { class: "number" }, item.cost ?? seconds(item.seconds));
  if (!column.figure) return make("td", { class: column.number ? "number" : "" }, String(item[column.key]));
  const found = item.figures[column.key];
  if (found === undefined) return make("td", { class: "number" }, "–");
  if (typeof found === "number") return figureCell(fixed(found), found, "");
  return figureCell(found.text, found.mean ? found.rank : 0, `${found.best ? "best" : ""} ${found.mean ? "" : "few"}`);
}

function runRow(run, below) {
  const link = (text) => make("td", {}, make("a", { href: `#run=${run.id}` }, text));
  const cells = columns().map((column) => {
    if (column.key === "method") return link(below ? `seed ${run.seed}` : run.method);
    if (below && ["data", "setting", "n", "pairs"].includes(column.key)) return make("td", {}, "");
    return cellOf(run, column);
  });
  return make("tr", { "data-run": run.id, class: below ? "sub" : null }, control(run), ...cells);
}

function meanRow(row, shownRuns) {
  const open = board.open.has(row.id);
  const name = `${row.method} on ${row.data}${row.setting ? ` (${row.setting})` : ""}`;
  const button = make("button", { "aria-expanded": String(open), "aria-label": `single runs of ${name}` }, open ? "▾" : "▸");
  const cells = columns().map((column) => cellOf(row, column));
  const line = make("tr", { "data-row": row.id }, make("td", { class: "control" }, button), ...cells);
  return [line, ...(open ? shownRuns.map((run) => runRow(run, true)) : [])];
}

function bodyRows() {
  const matches = wanted();
  if (board.mode === "single") {
    const runs = sorted(report.runs.filter(matches));
    board.order = runs.map((run) => run.id);
    return [runs.map((run) => runRow(run, false)), `${runs.length} of ${report.runs.length} runs`];
  }
  const found = new Map(report.rows.map((row) => [row, row.runs.map((id) => report.runs[id]).filter(matches)]));
  const rows = sorted(report.rows.filter((row) => found.get(row).length));
  board.order = rows.flatMap((row) => found.get(row).map((run) => run.id));
  return [rows.flatMap((row) => meanRow(row, found.get(row))), `${rows.length} of ${report.rows.length} rows`];
}

function head() {
  const titles = columns().map((column) => {
    const way = board.sort === column.key ? (board.descending ? "descending" : "ascending") : null;
    const button = make("button", { "data-sort": column.key }, column.title);
    return make("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": way }, button);
  });
  return make("tr", {}, make("th", { scope: "col", "aria-label": "choose" }), ...titles);
}

function showBoard() {
  const focused = document.activeElement?.dataset?.sort;
  const [rows, count] = bodyRows();
  byId("leaderboard").tHead.replaceChildren(head());
  byId("leaderboard").tBodies[0].replaceChildren(...rows);
  byId("count").textContent = count;
  for (const mode of ["means", "single"]) byId(mode).setAttribute("aria-pressed", String(board.mode === mode));
  const link = byId("compare-link");
  const ready = board.chosen.length === 2;
  link.classList.toggle("ready", ready);
  link.setAttribute("aria-disabled", String(!ready));
  link.textContent = `Compare (${board.chosen.length} of 2 ticked)`;
  if (ready) link.href = `#compare=${board.chosen.join(",")}`;
  else link.removeAttribute("href");
  if (focused) document.querySelector(`[data-sort="${focused}"]`)?.focus();
}

function sortBy(key) {
  const column = columns().find((each) => each.key === key);
  board.descending = board.sort === key ? !board.descending : Boolean(column.figure);
  board.sort = key;
  showBoard();
}

function toggle(id) {
  if (!board.open.delete(id)) board.open.add(id);
  showBoard();
  document.querySelector(`tr[data-row="${id}"] button`)?.focus();
}

/** A box for each group of measures; what needs no labels waits for its tick where there are too many columns. */
function startGroups() {
  const present = Object.keys(GROUPS).filter((name) => report.figures.some(({ group }) => group === name));
  for (const name of present) {
    const box = make("input", { type: "checkbox", value: name });
    box.checked = name !== "label-free" || report.figures.length <= ROOM || present.length === 1;
    if (box.checked) board.groups.add(name);
    box.addEventListener("change", () => {
      if (!board.groups.delete(name)) board.groups.add(name);
      showBoard();
    });
    byId("groups").append(make("label", {}, box, ` ${GROUPS[name]}`));
  }
}

function startBoard() {
  startGroups();
  for (const run of report.runs) {
    run.words = [run.method, run.data, run.setting, `seed=${run.seed}`, run.folder, run.device, run.commit].join(" ").toLowerCase();
  }
  for (const key of ["data", "method"]) {
    const names = [...new Set(report.runs.map((run) => run[key]))];
    byId(key).append(make("option", { value: "" }, "all"), ...names.map((name) => make("option", { value: name }, name)));
    byId(key).addEventListener("change", showBoard);
  }
  byId("query").addEventListener("input", showBoard);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const mode of ["means", "single"]) {
    byId(mode).addEventListener("click", () => {
      board.mode = mode;
      showBoard();
    });
  }
  byId("leaderboard").addEventListener("click", (event) => {
    const button = event.target.closest("thead button");
    if (button) return sortBy(button.dataset.sort);
    const line = event.target.closest("tr[data-row], tr[data-run]");
    if (!line || event.target.closest("input, a")) return null;
    if (line.dataset.row !== undefined) return toggle(Number(line.dataset.row));
    location.hash = `run=${line.dataset.run}`;
    return null;
  });
  showBoard();
}
