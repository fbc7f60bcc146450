// Which view is shown, what the filters and keys do.

function route() {
  const [view, text = ""] = location.hash.slice(1).split("=");
  const cluster = /^\d+$/.test(text) && Number(text) < K ? root(Number(text)) : null;
  const shown = view === "cluster" && cluster !== null ? "opened" : view === "view" && text === "map" && places ? "map" : view === "view" && text === "confusion" && table ? "confusion" : "clusters";
  for (const id of ["clusters", "opened", "map", "confusion"]) byId(id).hidden = id !== shown;
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === (shown === "opened" ? "clusters" : shown)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("cards-order").hidden = shown !== "clusters";
  byId("controls").hidden = shown === "confusion";
  byId("reset").hidden = !isFiltered();
  byId("sure-text").textContent = Number(byId("sure").value).toFixed(2);
  hover(null);
  if (shown === "opened") showOpened(cluster);
  else if (shown === "map") showMap();
  else if (shown === "confusion") showConfusion();
  else {
    openedCluster = null;
    showCards();
  }
  document.title = `${shown === "opened" ? `${called(cluster)} – ` : ""}${data.title}`;
}

/** Show the present view anew, and the opened member. */
function refresh() {
  const [x, y] = [window.scrollX, window.scrollY];
  route();
  window.scrollTo(x, y);
  if (shownMember !== null && byId("member").open) showMember();
}

function onHash() {
  if (byId("member").open) byId("member").close();
  shownMember = null;
  chosen.clear();
  route();
  window.scrollTo(0, 0);
  if (location.hash.startsWith("#cluster")) byId("opened-title")?.focus({ preventScroll: true });
}

/** The tile that an arrow key leads to. */
function stepTile(from, key) {
  const all = [...from.closest(".grid, .tiles-row").querySelectorAll(".member")];
  const place = all.indexOf(from);
  const line = all.filter((each) => Math.abs(each.getBoundingClientRect().top - all[0].getBoundingClientRect().top) < 4).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -line, ArrowDown: line }[key];
  all[place + step]?.focus();
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const typing = event.target.closest("input:not([type=checkbox])") ?? (event.key === "Escape" ? null : event.target.closest("select"));
  const dialog = byId("member");
  if (dialog.open) {
    if (typing) return;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") stepMember(event.key === "ArrowLeft" ? -1 : 1);
    if (event.key === "w") markWrong([shownMember], !isWrong(shownMember));
    return;
  }
  if (typing) return;
  const at = event.target.closest(".member");
  if (event.key === "/") {
    event.preventDefault();
    byId("query").focus();
  } else if (event.key === "Escape" && location.hash) location.hash = "";
  else if (event.key === "u") undo();
  else if (at && event.key.startsWith("Arrow")) {
    event.preventDefault();
    stepTile(at, event.key);
  } else if (at && event.key === "x" && at.parentElement.classList.contains("slot")) select(Number(at.dataset.i), !chosen.has(Number(at.dataset.i)));
  else if (at && event.key === "w") {
    const i = Number(at.dataset.i);
    markWrong([i], !isWrong(i));
    document.querySelector(`section:not([hidden]) [data-i="${i}"]`)?.focus();
  }
}

function onClick(event) {
  const at = event.target.closest(".member");
  if (event.target.closest("[data-leave]")) byId("member").close();
  if (!at) return;
  const i = Number(at.dataset.i);
  const inside = at.closest("#member");
  const card = at.closest("[data-cluster]");
  openMember(i, inside ? among : card ? [...card.querySelectorAll(".member")].map((each) => Number(each.dataset.i)) : listed);
}

function begin() {
  restore();
  document.querySelector("h1 a").textContent = data.title;
  const part = N < data.total ? ` (the page holds ${N.toLocaleString("en")}, evenly spaced)` : "";
  byId("summary").textContent = `${data.total.toLocaleString("en")} samples${part}, ${K} clusters`;
  byId("facts").replaceChildren(...factsList(data.facts).children);
  byId("credits").hidden = !data.credits;
  byId("credits").textContent = data.credits;
  document.querySelector("[data-view=map]").hidden = !places;
  document.querySelector("[data-view=confusion]").hidden = !table;
  byId("sure-name").textContent = `${SURE[0].toUpperCase()}${SURE.slice(1)} ≤`;
  byId("disagree-filter").hidden = !MODALITIES.length;
  if (data.labels) {
    byId("label-filter").hidden = false;
    const options = data.labels.map((label) => make("option", { value: `=${label}` }, label || "(no label)"));
    byId("label").append(make("option", { value: "" }, "all"), ...options);
  }
  let waiting = null;
  for (const id of ["query", "sure"]) byId(id).addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, 120);
  });
  for (const id of ["label", "disagree", "only", "order"]) byId(id).addEventListener("change", refresh);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("reset").addEventListener("click", () => {
    for (const id of ["query", "label", "only"]) byId(id).value = "";
    byId("sure").value = "1";
    byId("disagree").checked = false;
    refresh();
  });
  byId("undo").addEventListener("click", undo);
  byId("export-json").addEventListener("click", exportJson);
  byId("export-csv").addEventListener("click", exportCsv);
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  document.addEventListener("mouseover", (event) => {
    const at = event.target.closest?.(".member");
    if (at) hover(Number(at.dataset.i), event.clientX, event.clientY);
    else if (!event.target.closest?.(".plot")) hover(null);
  });
  byId("member").addEventListener("cancel", (event) => {
    event.preventDefault();
    closeMember();
  });
  window.addEventListener("hashchange", onHash);
  showChanges();
  route();
}

begin();
