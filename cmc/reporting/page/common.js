// The report's data, and its runs.

const report = JSON.parse(byId("report").textContent);
const details = new Map();

/** Facts, configuration, curves, confusion matrix and embedding of a run, read when it is first looked at. */
function detailOf(id) {
  if (!details.has(id)) details.set(id, JSON.parse(byId(`run-${id}`).textContent));
  return details.get(id);
}

/** A run in words. */
function nameOf(run) {
  return `${run.method} on ${run.data}, seed ${run.seed}${run.setting ? ` (${run.setting})` : ""}`;
}
