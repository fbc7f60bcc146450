// Two runs side by side: scores, what differs in configuration and facts, curves.

const PAIR = ["#0072b2", "#d55e00"];

function scoresTable(a, b) {
  const rows = report.figures.filter(({ key }) => key in a.figures || key in b.figures).map(({ key, title }) => {
    const [one, other] = [a.figures[key], b.figures[key]];
    const both = one !== undefined && other !== undefined;
    const change = both ? Number(fixed(other)) - Number(fixed(one)) : 0; // of what is shown
    const way = !report.scores.includes(key) ? "" : change > 0 ? "better" : change < 0 ? "worse" : "";
    const cells = [fixed(one), fixed(other)].map((text) => make("td", { class: "number" }, text));
    return make("tr", {}, make("td", {}, title), ...cells, make("td", { class: `number ${way}` }, both ? signed(change) : "–"));
  });
  return tableOf(["", "A", "B", "B − A"], rows, "scores");
}

function tableOf(titles, rows, name) {
  const kind = name === "scores" ? "scores" : "diff";
  const head = titles.map((title) => make("th", { scope: "col", class: kind === "scores" && title ? "number" : null }, title));
  return make("table", { class: kind, "data-table": name }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}

/** Names whose texts differ, or all of them. */
function differences(one, other, all) {
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  const rows = names.filter((name) => all || one[name] !== other[name]).map((name) => {
    const cells = [one[name], other[name]].map((text) => make("td", { class: text === undefined ? "missing" : null }, text ?? "absent"));
    return make("tr", {}, make("td", {}, name), ...cells);
  });
  return rows.length ? rows : [make("tr", {}, make("td", { colspan: "3" }, "no difference"))];
}

function diffCard(title, name, one, other) {
  const box = make("input", { type: "checkbox", id: `all-${name}` });
  const table = tableOf(["", "A", "B"], differences(one, other, false), name);
  box.addEventListener("change", () => table.tBodies[0].replaceChildren(...differences(one, other, box.checked)));
  const label = make("label", { for: `all-${name}` }, box, " show what is the same, too");
  return make("div", { class: "card" }, make("div", { class: "title" }, make("h3", {}, title), label), table);
}

/** One curve of both runs over their epochs. */
function drawPair(place, pair, name) {
  const traces = pair.flatMap((curves, number) => {
    const found = curves?.series.find(([each]) => each === name);
    if (!found) return [];
    const line = { color: PAIR[number], width: 1.8, dash: number ? "dash" : "solid" };
    return [{ x: curves.axes[found[2]], y: found[3], mode: "lines", name: "AB"[number], line, hovertemplate: "epoch %{x}: %{y:.4g}" }];
  });
  const yaxis = { title: { text: TITLES[name] ?? plain(name), standoff: 4 }, gridcolor: tone("grid"), zeroline: false, automargin: true };
  place.style.height = "240px";
  return draw(place, traces, { xaxis: { title: { text: "epoch", standoff: 4 }, showgrid: false }, yaxis, legend: { orientation: "h", y: 1.12 } });
}

function curvesCard(pair) {
  const names = [...new Set(pair.flatMap((curves) => curves?.series.map(([name]) => name) ?? []))];
  const select = make("select", { "aria-label": "curve" }, ...names.map((name) => make("option", { value: name }, TITLES[name] ?? name.replaceAll("_", " "))));
  if (names.includes("acc")) select.value = "acc";
  const result = card("Curves", names.length ? null : "No curves are known.", (place) => drawPair(place, pair, select.value), names.length ? select : null);
  select.addEventListener("change", () => drawPair(result.place, pair, select.value));
  return result;
}

function showCompare(a, b) {
  const [one, other] = [detailOf(a.id), detailOf(b.id)];
  const title = make("h2", { id: "compare-title", tabindex: "-1" }, "Two runs compared");
  const names = [["a", "A", a], ["b", "B", b]].map(([style, letter, run]) => make("p", { class: style }, `${letter}: `, make("a", { href: `#run=${run.id}` }, nameOf(run))));
  const same = one.facts["data fingerprint"] === other.facts["data fingerprint"];
  const warning = same ? null : make("p", { class: "warning" }, "The two were trained on different data: their scores are not comparable.");
  const curves = curvesCard([one.curves, other.curves]);
  const scores = make("div", { class: "card" }, make("h3", {}, "Scores"), scoresTable(a, b));
  byId("compare").replaceChildren(
    make("div", { class: "bar" }, make("a", { class: "button", href: "#" }, "← Leaderboard"), title),
    ...names,
    ...(warning ? [warning] : []),
    make("div", { class: "cards" }, scores, curves.element, diffCard("Configuration", "config", one.config, other.config), diffCard("Facts", "facts", one.facts, other.facts)),
  );
  title.focus({ preventScroll: true });
  curves.show();
}
