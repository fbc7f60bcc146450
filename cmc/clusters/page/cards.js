// The clusters as cards.

const TYPICAL = data.pictures ? 14 : 4;
const DOUBTFUL = data.pictures ? 7 : 2;
const CARDS = 24; // laid out at once

function termChip([word, count]) {
  const chip = make("button", { type: "button", class: "term", title: `in ${count} texts; a click searches it` }, word, " ", make("small", {}, String(count)));
  chip.addEventListener("click", () => {
    byId("query").value = word;
    location.hash = "";
    refresh();
  });
  return chip;
}

function nameField(cluster) {
  const field = make("input", { class: "name", "data-named": cluster, "aria-label": `name of cluster ${cluster}`, maxlength: "200", spellcheck: "false", autocomplete: "off" });
  field.value = called(cluster);
  const fault = make("span", { class: "fault", role: "alert" });
  field.addEventListener("change", () => {
    fault.textContent = rename(cluster, field.value) ?? "";
    if (fault.textContent) field.value = called(cluster);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") field.blur();
    if (event.key === "Escape") {
      field.value = called(cluster);
      field.blur();
    }
  });
  return [field, fault];
}

/** What a cluster's figures say, in a line. */
function figuresOf(cluster, list) {
  const parts = [];
  if (list.length) {
    parts.push(`${SURE} ${(list.reduce((sum, i) => sum + sureOf(i), 0) / list.length).toFixed(2)}`);
    if (MODALITIES.length) parts.push(`modalities agree on ${percent(list.filter((i) => !doubts()[i]).length / list.length)}`);
    const labels = new Map();
    for (const i of list) if (labelOf(i)) labels.set(labelOf(i), (labels.get(labelOf(i)) ?? 0) + 1);
    const [best] = [...labels].sort((a, b) => b[1] - a[1]);
    if (best) parts.push(`${percent(best[1] / list.length)} ${best[0]}`);
  }
  return parts.join(" · ");
}

function row(title, list, style) {
  if (!list.length) return [];
  return [make("h3", {}, title), make("div", { class: `tiles-row ${style}` }, ...list.map((i) => tile(i)))];
}

/** A strip of feature means: orange above the mean of all samples, blue below. */
function strip(values, title) {
  const cells = values.map((z) => {
    const share = Math.round(Math.min(1, Math.abs(z) / 2) * 100);
    return `color-mix(in srgb, ${z > 0 ? "#d55e00" : "#0072b2"} ${share}%, var(--paper))`;
  });
  const stops = cells.map((cell, j) => `${cell} ${(100 * j) / cells.length}% ${(100 * (j + 1)) / cells.length}%`);
  const element = make("div", { class: "strip", role: "img", "aria-label": title, title });
  element.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  return element;
}

/** Of data without pictures and texts: how the cluster's features differ. */
function numbersOf(cluster) {
  if (!means || means.prototypes[cluster] < 0) return [];
  return Object.entries(means.modalities).flatMap(([name, of]) => {
    const top = of.top[cluster].map(([column, z, mean]) => `${column}: ${mean} (${z > 0 ? "+" : "−"}${Math.abs(z)})`);
    return [
      make("h3", {}, `${name}, ${of.width} columns`),
      make("div", { class: "strips" }, make("span", {}, "mean"), strip(of.strips[cluster], `means of ${name} in standard deviations`)),
      make("div", { class: "strips" }, make("span", {}, `row ${means.prototypes[cluster]}`), strip(of.prototypes[cluster], `prototype: ${name} of row ${means.prototypes[cluster]}`)),
      make("p", { class: "note-left" }, `farthest columns: ${top.join(", ")}`),
    ];
  });
}

function clusterCard(cluster, list, most) {
  const [field, fault] = nameField(cluster);
  const size = data.total === N || isFiltered() ? list.length : sizeOf(cluster);
  const head = make("div", { class: "head" }, make("a", { class: "number", href: `#cluster=${cluster}`, "aria-label": `open cluster ${cluster}` }, String(cluster)), field, make("a", { class: "size", href: `#cluster=${cluster}` }, String(size)));
  const share = make("div", { class: "share" }, make("i", {}));
  share.firstChild.style.width = `${(100 * list.length) / most}%`;
  const best = firstOf(list, TYPICAL, typicalFirst);
  const doubtful = firstOf(list.filter((i) => !best.includes(i)), DOUBTFUL, ORDERS.doubt[1]);
  const terms = termsOf(cluster);
  const card = make("article", { class: "cluster", "data-cluster": cluster }, head, fault, share, make("p", { class: "figures" }, figuresOf(cluster, list)));
  if (terms.length) card.append(make("div", { class: "terms" }, ...terms.map(termChip)));
  card.append(...numbersOf(cluster), ...row("most typical", best, ""), ...row("most doubtful", doubtful, "doubtful"));
  card.addEventListener("click", (event) => {
    if (!event.target.closest("button, input, a")) location.hash = `cluster=${cluster}`;
  });
  return card;
}

function sortedClusters(lists) {
  const order = byId("order").value;
  const mean = (list, of) => (list.length ? list.reduce((sum, i) => sum + of(i), 0) / list.length : 1);
  const rank = {
    size: (k) => -lists[k].length,
    number: (k) => k,
    confidence: (k) => mean(lists[k], sureOf),
    agreement: (k) => mean(lists[k], (i) => (doubts()[i] ? 0 : 1)),
  }[order];
  const ranks = new Map(standing().map((k) => [k, rank(k)]));
  return standing().sort((a, b) => ranks.get(a) - ranks.get(b) || a - b);
}

function showCards() {
  const passes = filters();
  const lists = isFiltered() ? grouped().map((list) => list.filter(passes)) : grouped();
  const found = lists.reduce((sum, list) => sum + list.length, 0);
  const shown = sortedClusters(lists).filter((k) => lists[k].length || !isFiltered());
  const most = Math.max(1, ...shown.slice(0, 1000).map((k) => lists[k].length));
  byId("count").textContent = isFiltered() ? `${found} of ${N} members in ${shown.length} clusters` : "";
  unroll(byId("cards"), shown, CARDS, (k) => clusterCard(k, lists[k], most));
}
