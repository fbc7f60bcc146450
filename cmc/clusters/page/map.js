// The map: samples in two dimensions, linked with the members both ways; and clusters against labels.

const places = JSON.parse(byId("map-data").textContent);
const table = JSON.parse(byId("confusion-data").textContent);
// Okabe and Ito's colours, told apart by all eyes, and signs besides: 48 looks.
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#8c8c8c", "#b8a400"];
const SIGNS = ["circle", "square", "diamond", "triangle-up", "cross", "star"];
let ringed = null; // the member that is pointed at

/** How a cluster looks on the map. */
const look = (cluster) => ({ color: COLOURS[cluster % 8], symbol: SIGNS[Math.floor(cluster / 8) % 6] });

function mapTraces(by) {
  const passes = filters();
  const groups = new Map();
  places.at.forEach((i, at) => {
    const key = by === "cluster" ? clusterOf(i) : data.label[i];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(at);
  });
  const title = (key) => (by === "cluster" ? `${key} ${called(key)}` : data.labels[key] || "no label");
  const traces = [...groups].sort((a, b) => a[0] - b[0]).map(([key, here]) => ({
    x: here.map((at) => places.x[at]), y: here.map((at) => places.y[at]), customdata: here.map((at) => places.at[at]),
    mode: "markers", type: "scatter", name: plain(title(key), 30), hoverinfo: "none",
    marker: { size: 7, ...look(key), opacity: here.map((at) => (passes(places.at[at]) ? 0.85 : 0.08)), line: { width: 0.5, color: tone("paper") } },
  }));
  const at = ringed === null ? -1 : places.at.indexOf(ringed);
  if (at >= 0) traces.push({ x: [places.x[at]], y: [places.y[at]], mode: "markers", name: "shown", showlegend: false, hoverinfo: "skip", marker: { size: 22, symbol: "circle-open", color: tone("ink"), line: { width: 3 } } });
  return traces;
}

function drawMap(place, by) {
  const bare = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
  const traces = mapTraces(by);
  const wide = innerWidth > 700;
  const layout = { xaxis: bare, yaxis: { ...bare, scaleanchor: "x" }, hovermode: "closest", dragmode: wide ? "lasso" : "pan", showlegend: traces.length <= 24, legend: wide ? { itemsizing: "constant" } : { orientation: "h" }, margin: { l: 8, r: 8, t: MODEBAR, b: 8 }, uirevision: "map" };
  const drawn = draw(place, traces, layout, ["lasso2d", "select2d"]);
  if (place.dataset.linked) return drawn;
  place.dataset.linked = "true";
  place.on("plotly_hover", ({ points, event }) => hover(points[0].customdata ?? null, event.clientX, event.clientY));
  place.on("plotly_unhover", () => hover(null));
  place.on("plotly_click", ({ points }) => points[0].customdata !== undefined && openMember(points[0].customdata, places.at));
  place.on("plotly_selected", (event) => {
    if (!event) return;
    chosen.clear();
    for (const { customdata } of event.points) if (customdata !== undefined) chosen.add(customdata);
    showMapped();
  });
  return drawn;
}

/** The members that were drawn around on the map. */
function showMapped() {
  const grid = byId("mapped");
  listed = [...chosen].sort(typicalFirst);
  unroll(grid, listed, PIECE, (i) => tile(i, true));
  if (!listed.length) grid.append(make("p", { class: "missing" }, "Draw around points to see and move their members."));
  showSelection();
}

let mapBy = "cluster";

function showMap() {
  openedCluster = null;
  if (!byId("map").childElementCount) {
    const kinds = data.label ? ["cluster", "label"] : ["cluster"];
    const buttons = kinds.map((by) => make("button", { type: "button", "data-by": by, "aria-pressed": String(by === mapBy) }, `by ${by}`));
    const group = make("div", { class: "switch", role: "group", "aria-label": "Colours" }, ...buttons);
    const chart = card(`Map, ${places.by}`, null, null, group);
    chart.element.classList.add("wide");
    chart.element.querySelector("h3").id = "map-title";
    chart.place.classList.add("map");
    for (const button of buttons) button.addEventListener("click", () => {
      mapBy = button.dataset.by;
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      drawMap(chart.place, mapBy);
    });
    const told = places.at.length < data.total ? make("p", { class: "hint" }, `${places.at.length} of ${data.total} samples, evenly spaced.`) : "";
    byId("map").append(chart.element, told, selectionBar(), make("div", { class: "grid", id: "mapped", role: "group", "aria-label": "members drawn around" }));
  }
  drawMap(byId("map").querySelector(".plot"), mapBy);
  showMapped();
}

/** From a member to its point; one that is not on the map is stood for by its nearest neighbour there. */
function showOnMap(i) {
  ringed = places.at.includes(i) ? i : (nearOf(i).find((j) => places.at.includes(j)) ?? grouped()[clusterOf(i)].find((j) => places.at.includes(j)) ?? null);
  if (location.hash === "#view=map") showMap();
  else location.hash = "view=map";
}

function showConfusion() {
  openedCluster = null;
  const named = table.missing ? null : { ...table, names: table.clusters.map((k) => `${k} ${short(called(k), 14)}`) };
  const chart = card("Labels in clusters, as the model gave them", table.missing, (place) => drawConfusion(place, named));
  chart.element.classList.add("wide");
  if (!table.missing) chart.place.style.height = `${Math.max(360, 90 + 24 * table.classes.length)}px`;
  byId("confusion").replaceChildren(chart.element, make("p", { class: "hint" }, "A click on a cell opens the cluster with the members of that label."));
  chart.show();
  if (table.missing) return;
  chart.place.on("plotly_click", ({ points: [point] }) => {
    const label = table.classes[point.pointIndex[0]];
    byId("label").value = `=${label}`;
    location.hash = `cluster=${root(table.clusters[point.pointIndex[1]])}`;
  });
}
