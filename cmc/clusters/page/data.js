// The run's samples, by position; what is said of each.

const data = JSON.parse(byId("gallery").textContent);
const N = data.row.length;
const K = data.clusters.length;
const MODALITIES = Object.keys(data.own);
const means = JSON.parse(byId("means").textContent);
let embedded = null; // pictures in the page, read when the first is shown
let counted = null; // modalities that disagree, of every sample, as clusters are merged now
let nearest = null; // neighbours, read when a member is first looked at
let words = null; // what is searched, of every sample

const everyone = Array.from({ length: N }, (_, i) => i);
const nameOf = (i) => (data.id ? data.id[i] : `row ${data.row[i]}`);
const textOf = (i) => (data.caption ? data.caption[i] : "");
const labelOf = (i) => (data.label ? data.labels[data.label[i]] : "");
const percent = (share) => (typeof share === "number" ? `${Math.round(100 * share)} %` : "–");
const short = (text, longest) => (text.length > longest ? `${text.slice(0, longest - 1)}…` : text);

/** The modalities that alone would put a sample elsewhere. */
function against(i) {
  return MODALITIES.filter((name) => data.own[name][i] >= 0 && root(data.own[name][i]) !== root(data.cluster[i]));
}

/** How many modalities would put each sample elsewhere, of all samples at once. */
function doubts() {
  counted ??= Uint8Array.from(everyone, (i) => against(i).length);
  return counted;
}

/** How sure a sample's cluster is: calibrated, where that is known. */
const sureOf = (i) => (data.calibrated ?? data.confidence)[i];
const SURE = data.calibrated ? "calibrated confidence" : "confidence";

/** A sample in words, for those who hear the page. */
function spoken(i) {
  const parts = [textOf(i) || nameOf(i), `${SURE} ${sureOf(i).toFixed(2)}`];
  if (against(i).length) parts.push(`${against(i).join(", ")} disagrees`);
  if (isWrong(i)) parts.push("marked wrong");
  if (isMoved(i)) parts.push("moved by you");
  return parts.join("; ");
}

/** The picture of a sample, or why there is none; null where the data have no pictures. */
function pictureOf(i) {
  if (!data.pictures) return null;
  if (data.lost[i] !== undefined) return make("span", { class: "picture lost", title: data.lost[i] }, "∅");
  const place = data.place[i];
  if (!data.pictures.sheets.length) {
    embedded ??= JSON.parse(byId("pictures").textContent);
    return make("img", { class: "picture", alt: "", decoding: "async", src: `data:image/webp;base64,${embedded[place]}` });
  }
  const { columns, sheets, folder } = data.pictures;
  const [sheet, cell] = [Math.floor(place / columns ** 2), place % columns ** 2];
  const element = make("span", { class: "picture cell", role: "img", "aria-label": "" });
  element.style.setProperty("--column", cell % columns);
  element.style.setProperty("--line", Math.floor(cell / columns));
  element.style.setProperty("--columns", columns);
  element.dataset.sheet = `url("${encodeURIComponent(folder)}/${sheets[sheet]}")`;
  soon.observe(element);
  return element;
}

/** Sheets are asked for when a picture of theirs comes near the screen. */
const soon = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries.filter((entry) => entry.isIntersecting)) {
    soon.unobserve(target);
    if (isIntersecting) target.style.backgroundImage = target.dataset.sheet;
  }
}, { rootMargin: "300px" });

/** Whether a sample passes the filters of the moment. */
function filters() {
  const query = byId("query").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [label, sure, only] = [byId("label").value, Number(byId("sure").value), byId("only").value];
  const disagree = byId("disagree").checked;
  if (query.length) words ??= everyone.map((i) => `${nameOf(i)} ${textOf(i)}`.toLowerCase());
  return (i) =>
    query.every((word) => words[i].includes(word)) &&
    (!label || labelOf(i) === label.slice(1)) &&
    (sure >= 1 || sureOf(i) <= sure) &&
    (!disagree || doubts()[i] > 0) &&
    (!only || (only === "moved" ? isMoved(i) : isWrong(i)));
}

const isFiltered = () => byId("query").value !== "" || byId("label").value !== "" || byId("sure").value !== "1" || byId("only").value !== "" || byId("disagree").checked;

/** The positions of the nearest neighbours, nearest first. */
function nearOf(i) {
  nearest ??= JSON.parse(byId("near").textContent) ?? [];
  return nearest[i] ?? [];
}

/** The first n of a list under an order, without sorting it all. */
function firstOf(list, n, compare) {
  const kept = [];
  for (const i of list) {
    if (kept.length === n && compare(i, kept[n - 1]) >= 0) continue;
    let at = kept.length;
    while (at > 0 && compare(i, kept[at - 1]) < 0) at--;
    kept.splice(at, 0, i);
    if (kept.length > n) kept.pop();
  }
  return kept;
}

/** Ways to sort members: name -> what compares two. */
const typicalFirst = (a, b) => data.typical[b] - data.typical[a] || a - b;
const leading = (i) => (data.calibrated ?? data.margin ?? data.confidence)[i];
const ORDERS = {
  typical: ["most typical first", typicalFirst],
  outliers: ["outliers first", (a, b) => data.typical[a] - data.typical[b] || a - b],
  sure: ["most confident first", (a, b) => sureOf(b) - sureOf(a) || typicalFirst(a, b)],
  doubt: ["most doubtful first", (a, b) => doubts()[b] - doubts()[a] || leading(a) - leading(b) || -typicalFirst(a, b)],
  ...Object.fromEntries(MODALITIES.map((name) => [`own-${name}`, [`by ${name} alone`, (a, b) => byOwn(name, a, b)]])),
};

/** What a modality alone says: those of other clusters first, cluster by cluster. */
function byOwn(name, a, b) {
  const rank = (i) => (root(data.own[name][i]) === clusterOf(i) ? K : data.own[name][i]);
  return rank(a) - rank(b) || typicalFirst(a, b);
}
