// Plotly's pictures. The library is read when the first of them is drawn.

const PALETTE = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22",
  "#17becf", "#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#c49c94", "#f7b6d2", "#c7c7c7", "#dbdb8d", "#9edae5"];
// Named one by one: the library's own choice has a button that uploads the chart to its makers.
const CONFIG = { displaylogo: false, responsive: true, plotlyServerURL: "", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
const NAMED = 24; // clusters up to which a picture names each
const TICKS = 40; // of an axis
const MODEBAR = 30; // pixels above a picture, where the library's buttons are: they cover no words

/** A colour of the page, light or dark, by its name in the style sheet. */
const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function plotly() {
  if (!window.Plotly) document.head.append(make("script", {}, JSON.parse(byId("plotly").textContent)));
  return window.Plotly;
}

/** Draw a chart; ``buttons`` are those of the library's bar beside its usual ones. */
function draw(place, traces, layout, buttons = []) {
  const font = { family: 'system-ui, "DejaVu Sans", sans-serif', size: 11, color: tone("ink") };
  const hoverlabel = { align: "left", bgcolor: tone("paper"), font: { size: 12, color: tone("ink") } };
  const common = { font, margin: { l: 45, r: 12, t: MODEBAR, b: 38 }, hoverlabel, dragmode: "zoom", paper_bgcolor: tone("paper"), plot_bgcolor: tone("paper") };
  const modeBarButtons = [[...CONFIG.modeBarButtons[0], ...buttons]];
  return plotly().react(place, traces, { ...common, ...layout }, { ...CONFIG, modeBarButtons });
}

/** Text that Plotly does not take for its own markup. */
function plain(text, longest = 40) {
  const short = text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
  return short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

const colour = (number) => PALETTE[number % PALETTE.length];

/** Classes against clusters, each cluster in the column of the class that it is matched to. */
function drawConfusion(place, confusion) {
  const { classes, clusters, counts } = confusion;
  const names = clusters.length <= NAMED ? confusion.names : clusters;
  const sizes = clusters.map((_, j) => counts.reduce((sum, row) => sum + row[j], 0));
  const sums = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const share = counts.map((row, i) => row.map((count) => count / sums[i]));
  const customdata = counts.map((row, i) => row.map((count, j) => [plain(classes[i]), plain(String(names[j])), count, sizes[j] ? count / sizes[j] : 0]));
  const small = classes.length * clusters.length <= 400;
  const ticks = (names, longest) => {
    const tickvals = names.flatMap((_, i) => (i % Math.ceil(names.length / TICKS) ? [] : [i]));
    return { tickmode: "array", tickvals, ticktext: tickvals.map((i) => plain(String(names[i]), longest)), showgrid: false, zeroline: false, automargin: true };
  };
  const trace = {
    type: "heatmap", z: share, zmin: 0, zmax: 1, colorscale: [[0, "#f7fbff"], [0.5, "#6baed6"], [1, "#08306b"]], customdata,
    text: small ? counts.map((row) => row.map((count) => count || "")) : undefined, texttemplate: small ? "%{text}" : undefined,
    hovertemplate: "class %{customdata[0]}, cluster %{customdata[1]}<br>%{customdata[2]} samples, %{z:.1%} of the class, %{customdata[3]:.1%} of the cluster<extra></extra>",
    colorbar: { title: { text: "share of the class", side: "right" }, thickness: 10, tickformat: ".0%" },
  };
  const xaxis = { ...ticks(names, 24), title: { text: "cluster, ordered by the class that it is matched to", standoff: 6 } };
  return draw(place, [trace], { xaxis, yaxis: { ...ticks(classes, 18), autorange: "reversed", title: { text: "class", standoff: 6 } } });
}
