// What the views share: the report's data, elements, numbers.

const byId = (id) => document.getElementById(id);
const report = JSON.parse(byId("report").textContent);
const details = new Map();

/** Facts, configuration, curves, confusion matrix and embedding of a run, read when it is first looked at. */
function detailOf(id) {
  if (!details.has(id)) details.set(id, JSON.parse(byId(`run-${id}`).textContent));
  return details.get(id);
}

/** An element; names and values come from strangers, so text never becomes markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const fixed = (value) => (typeof value === "number" ? value.toFixed(3) : "–");
const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(3);
const seconds = (value) => (typeof value === "number" ? (value < 100 ? value.toFixed(1) : value.toFixed(0)) : "–");

/** A run in words. */
function nameOf(run) {
  return `${run.method} on ${run.data}, seed ${run.seed}${run.setting ? ` (${run.setting})` : ""}`;
}

/** Names and what is told of them. */
function factsList(facts) {
  const entries = Object.entries(facts).map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)));
  return make("dl", { class: "facts" }, ...entries);
}
