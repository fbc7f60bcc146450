// One member: picture, text, what each modality says, neighbours.

let shownMember = null;
let among = []; // the members that the arrow keys step through

function openMember(i, list) {
  shownMember = i;
  among = list;
  hover(null);
  showMember();
  const dialog = byId("member");
  if (!dialog.open) dialog.showModal();
  dialog.querySelector(".close").focus();
}

function closeMember() {
  byId("member").close();
  document.querySelector(`section:not([hidden]) [data-i="${shownMember}"]`)?.focus();
  shownMember = null;
}

function stepMember(step) {
  const place = among.indexOf(shownMember) + step;
  if (place >= 0 && place < among.length) openMember(among[place], among);
}

const clusterLink = (cluster) => make("a", { href: `#cluster=${root(cluster)}`, "data-leave": true }, `${root(cluster)}, ${called(cluster)}`);

function fact(name, ...value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, ...value));
}

function memberFacts(i) {
  const facts = [fact("cluster", clusterLink(clusterOf(i)))];
  if (clusterOf(i) !== data.cluster[i]) facts.push(fact("the model says", clusterLink(data.cluster[i])));
  for (const name of MODALITIES) {
    const own = data.own[name][i];
    const other = own >= 0 && root(own) !== root(data.cluster[i]);
    facts.push(fact(`${name} alone`, own < 0 ? "missing" : clusterLink(own), other ? make("span", { class: "mark" }, " ≠") : ""));
  }
  if (data.calibrated) facts.push(fact("confidence, calibrated", data.calibrated[i].toFixed(3)));
  facts.push(fact(data.calibrated ? "confidence, raw" : "confidence", data.confidence[i].toFixed(3)));
  if (data.margin) facts.push(fact("margin to the second", data.margin[i].toFixed(3)));
  facts.push(fact("typical of its cluster", data.typical[i].toFixed(3)));
  if (labelOf(i)) facts.push(fact("label", labelOf(i)));
  facts.push(fact("id", nameOf(i)), fact("row", String(data.row[i])));
  return make("dl", { class: "facts" }, ...facts);
}

function showMember() {
  const i = shownMember;
  const picture = pictureOf(i) ?? "";
  const close = make("button", { type: "button", class: "close", "aria-label": "close" }, "✕");
  close.addEventListener("click", closeMember);
  const steps = [["←", -1, "previous"], ["→", 1, "next"]].map(([sign, step, title]) => {
    const button = make("button", { type: "button", "aria-label": `${title} member` }, sign);
    button.addEventListener("click", () => stepMember(step));
    return button;
  });
  const wrong = make("button", { type: "button", "aria-pressed": String(isWrong(i)), class: "wrong-button" }, "✗ wrong");
  wrong.addEventListener("click", () => markWrong([i], !isWrong(i)));
  const back = make("button", { type: "button", hidden: !isMoved(i) }, "Move back");
  back.addEventListener("click", () => move([i], root(data.cluster[i])));
  const onMap = make("button", { type: "button", class: "on-map", hidden: !places }, "Show on map");
  onMap.addEventListener("click", () => {
    closeMember();
    showOnMap(i);
  });
  const near = nearOf(i);
  const neighbours = near.length ? [make("h3", {}, "nearest neighbours"), make("div", { class: "tiles-row near" }, ...near.map((j) => tile(j)))] : [];
  const lost = data.lost[i] === undefined ? null : make("p", { class: "missing" }, `The picture cannot be shown: ${data.lost[i]}.`);
  byId("member").replaceChildren(
    make("div", { class: "bar" }, make("h2", { id: "member-title" }, short(nameOf(i), 80)), make("div", { class: "end" }, ...steps, close)),
    make("div", { class: "whole" }, picture ? make("div", { class: "large" }, picture) : "", make("div", {},
      data.caption ? make("p", { class: "text", dir: "auto" }, textOf(i) || "(no text)") : "", lost, memberFacts(i))),
    make("div", { class: "bar" }, target("move this member to", "Move", (cluster) => {
      move([i], cluster);
      return null;
    }), back, wrong, onMap),
    ...neighbours,
  );
}
