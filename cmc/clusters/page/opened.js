// One cluster: all its members.

let openedCluster = null;
let listed = []; // the members in the order in which they are shown
let memberOrder = "typical";

function openedList() {
  const passes = filters();
  return grouped()[openedCluster].filter(passes).sort(ORDERS[memberOrder][1]);
}

function mergeField(cluster) {
  return target("merge this cluster into", "Merge into", (into) => {
    if (into === cluster) return "That is this cluster.";
    location.hash = `cluster=${into}`;
    merge(cluster, into);
    return null;
  });
}

function showOpened(cluster) {
  if (openedCluster !== cluster) chosen.clear();
  openedCluster = cluster;
  listed = openedList();
  const [field, fault] = nameField(cluster);
  const order = make("select", { "aria-label": "order of the members" }, ...Object.entries(ORDERS).map(([key, [title]]) => make("option", { value: key }, title)));
  order.value = memberOrder;
  order.addEventListener("change", () => {
    memberOrder = order.value;
    refresh();
    byId("opened").querySelector("select").focus();
  });
  const next = neighbour(cluster, 1);
  const steps = make("div", { class: "end" }, stepLink(neighbour(cluster, -1), "← previous"), stepLink(next, "next →"));
  const title = make("h2", { id: "opened-title", tabindex: "-1", class: "head" }, make("span", { class: "number" }, String(cluster)), field);
  const terms = make("div", { class: "terms" }, ...termsOf(cluster).map(termChip));
  const tools = make("div", { class: "bar" }, make("label", {}, "Order ", order), mergeField(cluster), selectionBar());
  const grid = make("div", { class: "grid", role: "group", "aria-label": "members" });
  const told = make("p", { class: "figures" }, [`${listed.length} of ${grouped()[cluster].length} members`, figuresOf(cluster, listed)].filter(Boolean).join(" · "));
  byId("opened").replaceChildren(make("div", { class: "bar" }, make("a", { class: "button", href: "#" }, "← Clusters"), steps), title, fault, told, terms, ...numbersOf(cluster), tools, grid);
  unroll(grid, listed, PIECE, (i) => tile(i, true));
  if (!listed.length) grid.append(make("p", { class: "missing" }, grouped()[cluster].length ? "The filters leave no member." : "This cluster is empty."));
  byId("count").textContent = isFiltered() ? `${listed.length} of ${grouped()[cluster].length} members` : "";
  showSelection();
}

function neighbour(cluster, step) {
  const order = sortedClusters(grouped());
  return order[order.indexOf(cluster) + step];
}

function stepLink(cluster, text) {
  if (cluster === undefined) return make("span", { class: "button", "aria-disabled": "true" }, text);
  return make("a", { class: "button", href: `#cluster=${cluster}`, title: called(cluster) }, text);
}

function selectAll() {
  const whole = listed.every((i) => chosen.has(i));
  for (const i of listed) whole ? chosen.delete(i) : chosen.add(i);
  refresh();
}
