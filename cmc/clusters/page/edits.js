// What the reader makes of the clusters: names, merges, moves, marks; kept by the browser, exported as files.

const KEY = `cmc-gallery-${data.run}`;
const state = { names: {}, merged: {}, moved: {}, wrong: {} };
const UPON = JSON.stringify(data.edits);
const past = []; // earlier states, as text
let members = null; // cluster -> positions, of the present state

function restore() {
  const kept = data.edits;
  Object.assign(state, { names: { ...kept.names }, merged: { ...kept.merged }, moved: { ...kept.moved } });
  state.wrong = Object.fromEntries(kept.wrong.map((row) => [row, 1]));
  try {
    const own = JSON.parse(localStorage.getItem(KEY));
    if (own?.upon === UPON) Object.assign(state, own.state); // else the run has taken an export since
  } catch {
    // a browser that keeps nothing: the export is what stays
  }
}

/** Change the state by a function, and show it by another; it can be undone. */
function change(edit, show = refresh) {
  past.push(JSON.stringify(state));
  edit();
  settle(show);
}

function undo() {
  if (!past.length) return;
  Object.assign(state, JSON.parse(past.pop()));
  settle(refresh);
}

function settle(show) {
  members = counted = null;
  try {
    localStorage.setItem(KEY, JSON.stringify({ upon: UPON, state }));
  } catch {
    // see restore
  }
  showChanges();
  show();
}

/** Names alone have changed: the fields say so, and nothing else moves beneath the pointer. */
function showNames() {
  for (const field of document.querySelectorAll("input.name")) field.value = called(Number(field.dataset.named));
}

const root = (cluster) => {
  let found = cluster;
  while (state.merged[found] !== undefined) found = Number(state.merged[found]);
  return found;
};
const isMoved = (i) => state.moved[data.row[i]] !== undefined;
const isWrong = (i) => state.wrong[data.row[i]] !== undefined;
const clusterOf = (i) => root(state.moved[data.row[i]] ?? data.cluster[i]);
const called = (cluster) => state.names[root(cluster)] || data.clusters[root(cluster)].called;
const standing = () => data.clusters.map((_, k) => k).filter((k) => state.merged[k] === undefined);

/** Positions of the members of every cluster, as it stands. */
function grouped() {
  if (members) return members;
  members = data.clusters.map(() => []);
  for (let i = 0; i < N; i++) members[clusterOf(i)].push(i);
  return members;
}

/** Members of a cluster in all data, of which the page may hold a part. */
function sizeOf(cluster) {
  if (data.total === N) return grouped()[cluster].length;
  return standing().includes(cluster) ? data.clusters.reduce((sum, { size }, k) => sum + (root(k) === cluster ? size : 0), 0) : 0;
}

/** Words of a cluster and of those merged into it. */
function termsOf(cluster) {
  const parts = data.clusters.filter((_, k) => root(k) === cluster).map(({ terms }) => terms);
  if (parts.length === 1) return parts[0];
  const sums = new Map();
  for (const [word, count] of parts.flat()) sums.set(word, (sums.get(word) ?? 0) + count);
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, 10);
}

/** Give a cluster a name; returns why it cannot have it, or nothing. */
function rename(cluster, given) {
  const name = given.trim().replace(/\s+/g, " ").slice(0, 200);
  const other = standing().find((k) => k !== cluster && state.names[k] === name);
  if (name && other !== undefined) return `Cluster ${other} is called ${name} already: merge the two, or give another name.`;
  if (name === (state.names[cluster] ?? "") || (!state.names[cluster] && name === called(cluster))) return null;
  change(() => (name ? (state.names[cluster] = name) : delete state.names[cluster]), showNames);
  return null;
}

const merge = (cluster, into) => change(() => {
  state.merged[cluster] = into;
  if (!state.names[into] && state.names[cluster]) state.names[into] = state.names[cluster];
  delete state.names[cluster];
});

const move = (positions, to) => change(() => {
  for (const i of positions) {
    if (root(data.cluster[i]) === to) delete state.moved[data.row[i]];
    else state.moved[data.row[i]] = to;
  }
});

const markWrong = (positions, wrong) => change(() => {
  for (const i of positions) wrong ? (state.wrong[data.row[i]] = 1) : delete state.wrong[data.row[i]];
});

/** The cluster that a reader means: by number, by name, or by both; undefined where none is. */
function meant(text) {
  const given = text.trim();
  const number = /^\d+/.exec(given)?.[0];
  const named = standing().filter((k) => called(k).toLowerCase() === given.toLowerCase());
  if (named.length === 1) return named[0];
  return number !== undefined && Number(number) < K ? root(Number(number)) : undefined;
}

function listClusters() {
  const options = standing().slice(0, 500).map((k) => make("option", { value: `${k} ${called(k)}` }));
  byId("all-clusters").replaceChildren(...options);
}

function showChanges() {
  const counts = [["name", state.names], ["merge", state.merged], ["move", state.moved], ["mark", state.wrong]];
  const told = counts.map(([what, of]) => [Object.keys(of).length, what]).filter(([n]) => n);
  byId("changes").textContent = told.map(([n, what]) => `${n} ${what}${n > 1 ? "s" : ""}`).join(", ");
  byId("undo").hidden = !past.length;
  listClusters();
}

function save(name, kind, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: kind })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function exportJson() {
  const { names, merged, moved } = state;
  const wrong = Object.keys(state.wrong).map(Number).sort((a, b) => a - b);
  save("clusters.json", "application/json", JSON.stringify({ format: data.format, run: data.run, names, merged, moved, wrong }, null, 1));
}

function exportCsv() {
  const cell = (value) => (/[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const rows = everyone.map((i) => [data.row[i], data.id ? data.id[i] : "", data.cluster[i], clusterOf(i), state.names[clusterOf(i)] ?? "", isWrong(i) ? 1 : 0]);
  const table = [["index", "id", "cluster", "now", "name", "wrong"], ...rows];
  save("clusters.csv", "text/csv", `\ufeff${table.map((row) => row.map(cell).join(",")).join("\n")}\n`);
}
