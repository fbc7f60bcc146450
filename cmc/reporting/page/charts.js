// Plotly's pictures. The library is read when the first of them is drawn.

const PALETTE = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22",
  "#17becf", "#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#c49c94", "#f7b6d2", "#c7c7c7", "#dbdb8d", "#9edae5"];
// Named one by one: the library's own choice has a button that uploads the chart to its makers.
const CONFIG = { displaylogo: false, responsive: true, plotlyServerURL: "", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
const MODEBAR = 30; // pixels above a picture, where the library's buttons are: they cover no words
const FONT = { family: 'system-ui, "DejaVu Sans", sans-serif', size: 11, color: "#1c2430" };
const TITLES = { acc: "ACC", nmi: "NMI", ari: "ARI" };

function plotly() {
  if (!window.Plotly) document.head.append(make("script", {}, JSON.parse(byId("plotly").textContent)));
  return window.Plotly;
}

function draw(place, traces, layout) {
  const common = { font: FONT, margin: { l: 45, r: 12, t: MODEBAR, b: 38 }, hoverlabel: { align: "left", bgcolor: "#fff", font: { size: 12, color: "#1c2430" } }, dragmode: "zoom" };
  return plotly().react(place, traces, { ...common, ...layout }, CONFIG);
}

/** Text that Plotly does not take for its own markup. */
function plain(text, longest = 40) {
  const short = text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
  return short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

const colour = (number) => PALETTE[number % PALETTE.length];
const axisName = (number, axis) => `${axis}${number ? number + 1 : ""}`;

/** Phases as shaded stretches of a panel. */
function shade(curves, panel) {
  const [xref, yref] = [axisName(panel, "x"), `${axisName(panel, "y")} domain`];
  const rest = { type: "rect", xref, yref, y0: 0, y1: 1, line: { width: 0 }, layer: "below" };
  return curves.phases.map(([, first, last], number) => ({ ...rest, x0: first - 0.5, x1: last + 0.5, fillcolor: number % 2 ? "#e9edf2" : "#f8fafb" }));
}

const epochRange = (curves) => [curves.phases[0][1] - 0.5, curves.phases.at(-1)[2] + 0.5];

/** Every loss term in a panel of its own. */
function drawTerms(place, curves) {
  const terms = curves.series.filter(([, kind]) => kind === "loss");
  const columns = terms.length > 4 ? 3 : Math.min(2, terms.length);
  const rows = Math.ceil(terms.length / columns);
  place.style.height = `${Math.max(330, rows * 140)}px`;
  const layout = { grid: { rows, columns, pattern: "independent", xgap: 0.22, ygap: 0.34 }, shapes: [], annotations: [], showlegend: false, margin: { l: 40, r: 12, t: MODEBAR + 16, b: 26 } };
  const traces = terms.map(([name, , axis, values], number) => {
    const [x, y] = [axisName(number, "x"), axisName(number, "y")];
    layout[`xaxis${number ? number + 1 : ""}`] = { range: epochRange(curves), showgrid: false, nticks: 5 };
    layout[`yaxis${number ? number + 1 : ""}`] = { zeroline: false, gridcolor: "#eef1f4", nticks: 5 };
    layout.shapes.push(...shade(curves, number));
    layout.annotations.push({ xref: `${x} domain`, yref: `${y} domain`, x: 0, y: 1, yanchor: "bottom", text: plain(name.replaceAll("_", " "), 24), showarrow: false, font: { size: 11 } });
    return { x: curves.axes[axis], y: values, xaxis: x, yaxis: y, mode: values.length < 3 ? "markers" : "lines", line: { color: "#0b5cad", width: 1.6 }, hovertemplate: "epoch %{x}: %{y:.4g}<extra></extra>" };
  });
  return draw(place, traces, layout);
}

/** Scores, and dashed what needs no labels, over epochs. */
function drawScores(place, curves) {
  const scores = curves.series.filter(([, kind]) => kind !== "loss");
  const layout = { shapes: shade(curves, 0), margin: { l: 40, r: 12, t: MODEBAR + 14, b: 38 }, legend: { orientation: "h", y: -0.16 }, xaxis: { range: epochRange(curves), showgrid: false, title: { text: "epoch", standoff: 4 } }, yaxis: { range: [Math.min(0, ...scores.flatMap(([, , , values]) => values)), 1.04], gridcolor: "#eef1f4", zeroline: false } };
  layout.annotations = curves.phases.map(([name, first, last]) => ({ xref: "x", yref: "y domain", x: (first + last) / 2, y: 1, yanchor: "bottom", text: plain(name, 16), showarrow: false, font: { size: 10, color: "#5b6675" } }));
  const traces = scores.map(([name, kind, axis, values], number) => ({
    x: curves.axes[axis], y: values, name: TITLES[name] ?? name, mode: "lines+markers", marker: { size: 4 },
    line: { color: colour(number), width: 1.6, dash: kind === "score" ? "solid" : "dot" }, hovertemplate: "epoch %{x}: %{y:.3f}",
  }));
  return draw(place, traces, layout);
}

/** Classes against clusters, each cluster in the column of the class that it is matched to. */
function drawConfusion(place, confusion) {
  const { classes, clusters, counts } = confusion;
  const sums = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const share = counts.map((row, i) => row.map((count) => count / sums[i]));
  const customdata = counts.map((row, i) => row.map((count, j) => [plain(classes[i]), clusters[j], count]));
  const small = classes.length * clusters.length <= 400;
  const ticks = (names) => ({ tickmode: "array", tickvals: names.map((_, i) => i), ticktext: names.map((name) => plain(String(name), 18)), showgrid: false, zeroline: false, automargin: true });
  const trace = {
    type: "heatmap", z: share, zmin: 0, zmax: 1, colorscale: [[0, "#f7fbff"], [0.5, "#6baed6"], [1, "#08306b"]], customdata,
    text: small ? counts.map((row) => row.map((count) => count || "")) : undefined, texttemplate: small ? "%{text}" : undefined,
    hovertemplate: "class %{customdata[0]}, cluster %{customdata[1]}<br>%{customdata[2]} samples, %{z:.1%} of the class<extra></extra>",
    colorbar: { title: { text: "share of the class", side: "right" }, thickness: 10, tickformat: ".0%" },
  };
  const xaxis = { ...ticks(clusters), title: { text: "cluster, ordered by the class that it is matched to", standoff: 6 } };
  return draw(place, [trace], { xaxis, yaxis: { ...ticks(classes), autorange: "reversed", title: { text: "class", standoff: 6 } } });
}

/** Colours of clusters: those of the classes that they are matched to. */
function clusterColours(embedding, confusion) {
  const known = new Map();
  let spare = embedding.labels.length;
  confusion?.clusters.forEach((cluster, j) => {
    const place = embedding.labels.indexOf(confusion.classes[confusion.matched[j]]);
    known.set(cluster, place >= 0 ? place : spare++);
  });
  return (cluster) => colour(known.has(cluster) ? known.get(cluster) : cluster);
}

/** Samples in two dimensions, coloured by cluster or by label. */
function drawEmbedding(place, embedding, confusion, by) {
  const ofCluster = clusterColours(embedding, confusion);
  const groups = embedding[by];
  const label = (i) => (embedding.label ? plain(embedding.labels[embedding.label[i]]) : "unknown");
  const said = (i) => [embedding.name, embedding.caption].map((of) => (of ? `<br>${plain(of[i], 80)}` : "")).join("");
  const present = [...new Set(groups)].sort((a, b) => a - b);
  const traces = present.map((group) => {
    const here = groups.flatMap((value, i) => (value === group ? [i] : []));
    return {
      x: here.map((i) => embedding.x[i]), y: here.map((i) => embedding.y[i]), mode: "markers", name: by === "label" ? plain(embedding.labels[group], 18) : String(group),
      marker: { size: 5, color: by === "label" ? colour(group) : ofCluster(group), opacity: 0.85 },
      customdata: here.map((i) => [embedding.index[i], embedding.cluster[i], label(i), embedding.confidence[i], said(i)]),
      hovertemplate: "sample %{customdata[0]}%{customdata[4]}<br>cluster %{customdata[1]}<br>label %{customdata[2]}<br>confidence %{customdata[3]}<extra></extra>",
    };
  });
  const bare = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
  return draw(place, traces, { xaxis: bare, yaxis: { ...bare, scaleanchor: "x" }, hovermode: "closest", showlegend: present.length <= 20, legend: { itemsizing: "constant" }, margin: { l: 8, r: 8, t: MODEBAR, b: 8 } });
}
