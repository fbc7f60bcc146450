// One run: its curves, confusion matrix, embedding and facts.

function tiles(run) {
  const entries = [
    ...report.figures.filter(({ key }) => key in run.figures).map(({ key, title }) => [title, fixed(run.figures[key])]),
    ["seconds", seconds(run.seconds)],
    ["memory", typeof run.memory === "number" ? `${run.memory.toFixed(0)} MiB` : "–"],
  ];
  const tile = ([name, value]) => make("div", { class: "tile" }, make("dt", {}, name), make("dd", {}, value));
  return make("dl", { class: "tiles" }, ...entries.map(tile));
}

function embeddingCard(detail) {
  const { embedding, confusion, missing } = detail;
  const kinds = embedding?.label ? ["cluster", "label"] : ["cluster"];
  const buttons = kinds.map((by) => make("button", { type: "button", "data-by": by }, `by ${by}`));
  const show = (place, by) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.by === by));
    return drawEmbedding(place, embedding, confusion, by);
  };
  const group = make("div", { class: "switch", role: "group", "aria-label": "Colours" }, ...buttons);
  const title = `Embedding, ${report.projection}`;
  const result = card(title, missing.embedding, (place) => show(place, "cluster"), kinds.length > 1 ? group : null);
  for (const button of buttons) button.addEventListener("click", () => show(result.place, button.dataset.by));
  return result;
}

function phasesLine(curves) {
  const phases = curves?.phases.map(([name, first, last]) => `${name} ${first}${last > first ? ` to ${last}` : ""}`) ?? [];
  return phases.length ? make("span", { class: "note" }, `epochs: ${phases.join(", ")}`) : null;
}

function neighbours(id) {
  const order = board.order.includes(id) ? board.order : report.runs.map((run) => run.id);
  const place = order.indexOf(id);
  return [order[place - 1], order[place + 1]];
}

function step(id, text, key) {
  if (id === undefined) return make("span", { class: "button", "aria-disabled": "true" }, text);
  return make("a", { class: "button", href: `#run=${id}`, "data-step": key }, text);
}

function showRun(run) {
  const detail = detailOf(run.id);
  const { curves, confusion, missing } = detail;
  const scored = curves?.series.some(([, kind]) => kind !== "loss");
  const noScores = missing.curves || (scored ? null : "The history has no scores.");
  const cards = [
    card("Loss terms", missing.curves, (place) => drawTerms(place, curves), phasesLine(curves)),
    card("Scores", noScores, (place) => drawScores(place, curves)),
    card("Confusion matrix", missing.confusion, (place) => drawConfusion(place, confusion)),
    embeddingCard(detail),
  ];
  const [before, after] = neighbours(run.id);
  const title = make("h2", { id: "run-title", tabindex: "-1" }, nameOf(run));
  const steps = make("div", { class: "end" }, step(before, "← previous", "ArrowLeft"), step(after, "next →", "ArrowRight"));
  const facts = make("div", { class: "card wide" }, make("h3", {}, "Facts"), factsList(detail.facts));
  const config = make("div", { class: "card wide" }, make("h3", {}, "Configuration"), factsList(detail.config));
  byId("run").replaceChildren(
    make("div", { class: "bar" }, make("a", { class: "button", href: "#" }, "← Leaderboard"), title, steps),
    tiles(run),
    make("div", { class: "cards" }, ...cards.map(({ element }) => element), facts, config),
  );
  title.focus({ preventScroll: true });
  for (const each of cards) each.show();
}
