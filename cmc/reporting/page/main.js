// Which view is shown: the address's end says it, so that back, forward and links work.

let scrolled = 0; // of the leaderboard
let opened = null; // the run that was opened from it

function route() {
  const [view, text = ""] = location.hash.slice(1).split("=");
  const runs = text.split(",").map((id) => report.runs[Number(id)]).filter(Boolean);
  const shown = view === "run" && runs.length === 1 ? "run" : view === "compare" && runs.length === 2 ? "compare" : "board";
  if (!byId("board").hidden && shown !== "board") scrolled = window.scrollY;
  for (const id of ["board", "run", "compare"]) byId(id).hidden = id !== shown;
  document.title = shown === "run" ? `${nameOf(runs[0])} – CMC report` : "CMC report";
  window.scrollTo(0, shown === "board" ? scrolled : 0);
  if (shown === "run") showRun(runs[0]);
  if (shown === "compare") showCompare(...runs);
  if (shown === "board" && opened !== null) document.querySelector(`tr[data-run="${opened}"] a`)?.focus();
  opened = shown === "run" ? runs[0].id : null;
}

function onKey(event) {
  if (!byId("board").hidden || event.target.closest("input, select") || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") location.hash = "";
  const link = document.querySelector(`#run:not([hidden]) [data-step="${event.key}"]`);
  if (link) location.hash = link.getAttribute("href");
}

byId("summary").textContent = report.summary;
byId("enough").textContent = report.enough;
byId("notes").hidden = !report.notes.length;
byId("notes").querySelector("summary").textContent = `${report.notes.length} remarks on what was read`;
byId("notes").querySelector("ul").append(...report.notes.map((note) => make("li", {}, note)));
startBoard();
window.addEventListener("hashchange", route);
document.addEventListener("keydown", onKey);
route();
