// Pictures of a run.

const TITLES = { acc: "ACC", nmi: "NMI", ari: "ARI" };

const axisName = (number, axis) => `${axis}${number ? number + 1 : ""}`;

/** Phases as shaded stretches of a panel. */
function shade(curves, panel) {
  const [xref, yref] = [axisName(panel, "x"), `${axisName(panel, "y")} domain`];
  const rest = { type: "rect", xref, yref, y0: 0, y1: 1, line: { width: 0 }, layer: "below" };
  return curves.phases.map(([, first, last], number) => ({ ...rest, x0: first - 0.5, x1: last + 0.5, fillcolor: tone(number % 2 ? "shade" : "faint") }));
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
    layout[`yaxis${number ? number + 1 : ""}`] = { zeroline: false, gridcolor: tone("grid"), nticks: 5 };
    layout.shapes.push(...shade(curves, number));
    layout.annotations.push({ xref: `${x} domain`, yref: `${y} domain`, x: 0, y: 1, yanchor: "bottom", text: plain(name.replaceAll("_", " "), 24), showarrow: false, font: { size: 11 } });
    return { x: curves.axes[axis], y: values, xaxis: x, yaxis: y, mode: values.length < 3 ? "markers" : "lines", line: { color: tone("accent"), width: 1.6 }, hovertemplate: "epoch %{x}: %{y:.4g}<extra></extra>" };
  });
  return draw(place, traces, layout);
}

/** Scores, and dashed what needs no labels, over epochs. */
function drawScores(place, curves) {
  const scores = curves.series.filter(([, kind]) => kind !== "loss");
  const layout = { shapes: shade(curves, 0), margin: { l: 40, r: 12, t: MODEBAR + 14, b: 38 }, legend: { orientation: "h", y: -0.16 }, xaxis: { range: epochRange(curves), showgrid: false, title: { text: "epoch", standoff: 4 } }, yaxis: { range: [Math.min(0, ...scores.flatMap(([, , , values]) => values)), 1.04], gridcolor: tone("grid"), zeroline: false } };
  layout.annotations = curves.phases.map(([name, first, last]) => ({ xref: "x", yref: "y domain", x: (first + last) / 2, y: 1, yanchor: "bottom", text: plain(name, 16), showarrow: false, font: { size: 10, color: tone("soft") } }));
  const traces = scores.map(([name, kind, axis, values], number) => ({
    x: curves.axes[axis], y: values, name: TITLES[name] ?? name, mode: "lines+markers", marker: { size: 4 },
    line: { color: colour(number), width: 1.6, dash: kind === "score" ? "solid" : "dot" }, hovertemplate: "epoch %{x}: %{y:.3f}",
  }));
  return draw(place, traces, layout);
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
  const named = new Map(confusion?.clusters.map((cluster, j) => [cluster, confusion.names[j]]));
  const groups = embedding[by];
  const label = (i) => (embedding.label ? plain(embedding.labels[embedding.label[i]]) : "unknown");
  const said = (i) => [embedding.name, embedding.caption].map((of) => (of ? `<br>${plain(of[i], 80)}` : "")).join("");
  const present = [...new Set(groups)].sort((a, b) => a - b);
  const traces = present.map((group) => {
    const here = groups.flatMap((value, i) => (value === group ? [i] : []));
    return {
      x: here.map((i) => embedding.x[i]), y: here.map((i) => embedding.y[i]), mode: "markers", name: by === "label" ? plain(embedding.labels[group], 18) : plain(embedding.named[group] ?? named.get(group) ?? String(group), 24),
      marker: { size: 5, color: by === "label" ? colour(group) : ofCluster(group), opacity: 0.85 },
      customdata: here.map((i) => [embedding.index[i], embedding.cluster[i], label(i), embedding.confidence[i], said(i)]),
      hovertemplate: "sample %{customdata[0]}%{customdata[4]}<br>cluster %{customdata[1]}<br>label %{customdata[2]}<br>confidence %{customdata[3]}<extra></extra>",
    };
  });
  const bare = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
  return draw(place, traces, { xaxis: bare, yaxis: { ...bare, scaleanchor: "x" }, hovermode: "closest", showlegend: present.length <= 20, legend: { itemsizing: "constant" }, margin: { l: 8, r: 8, t: MODEBAR, b: 8 } });
}
