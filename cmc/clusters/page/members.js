// Members as tiles: pictures with captions, texts, or numbers; laid out a few hundred at a time, as one scrolls.

const chosen = new Set(); // positions of selected members
const PIECE = 120; // tiles laid out at once

/** A tile; a click opens the member. */
function tile(i, selectable = false) {
  const picture = pictureOf(i);
  const text = textOf(i);
  const said = make("span", { class: "caption", dir: "auto" }, short(text || (data.caption ? "(no text)" : nameOf(i)), picture ? 60 : 160));
  const marks = [doubts()[i] ? ["mark", "≠"] : null, isMoved(i) ? ["mark moved", "→"] : null, isWrong(i) ? ["mark wrong", "✗"] : null];
  const flags = make("span", { class: "flags", "aria-hidden": "true" }, ...marks.filter(Boolean).map(([style, sign]) => make("span", { class: style }, sign)));
  const numbers = picture || data.caption ? null : make("span", { class: "caption" }, sureOf(i).toFixed(3));
  const button = make("button", { type: "button", class: `member${picture ? "" : " text"}${doubts()[i] ? " doubt" : ""}`, "data-i": i, "aria-label": spoken(i) }, picture, said, numbers, flags);
  if (!selectable) return button;
  const box = make("input", { type: "checkbox", class: "select", "aria-label": `select ${nameOf(i)}`, tabindex: "-1" });
  box.checked = chosen.has(i);
  box.addEventListener("change", () => select(i, box.checked));
  return make("div", { class: `slot${chosen.has(i) ? " selected" : ""}` }, button, box);
}

function select(i, wanted) {
  wanted ? chosen.add(i) : chosen.delete(i);
  const box = document.querySelector(`section:not([hidden]) .slot [data-i="${i}"]`)?.parentElement;
  box?.classList.toggle("selected", wanted);
  if (box) box.querySelector(".select").checked = wanted;
  showSelection();
}

/** Lay things out piece by piece: the next piece when the end of the last comes near. */
function unroll(place, items, piece, build) {
  let done = 0;
  const end = make("div", { class: "end-of-piece" });
  const more = () => {
    const next = items.slice(done, (done += piece)).map(build);
    end.before(...next);
    if (done >= items.length) {
      watcher.disconnect();
      end.remove();
    }
  };
  const watcher = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && again(), { rootMargin: "600px" });
  const again = () => {
    more();
    if (end.isConnected) { // the end may still be on the screen: be told of it anew
      watcher.unobserve(end);
      watcher.observe(end);
    }
  };
  place.unrolling?.disconnect();
  place.unrolling = watcher;
  place.replaceChildren(end);
  more();
  if (end.isConnected) watcher.observe(end);
}

/** Where a member would go: a field for the cluster's number or name, and what is done with it. */
function target(title, verb, done) {
  const field = make("input", { list: "all-clusters", placeholder: "number or name", "aria-label": title, size: "16", autocomplete: "off" });
  const fault = make("span", { class: "fault", role: "alert" });
  const go = () => {
    const cluster = meant(field.value);
    if (cluster === undefined) fault.textContent = field.value ? "There is no such cluster." : "Say which cluster.";
    else fault.textContent = done(cluster) ?? "";
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      go();
    }
  });
  const button = make("button", { type: "button" }, verb);
  button.addEventListener("click", go);
  return make("span", { class: "target" }, field, button, fault);
}

/** The bar for selected members, wherever tiles can be selected. */
function selectionBar() {
  const all = make("button", { type: "button" }, "Select all");
  all.addEventListener("click", () => selectAll());
  const bar = make("div", { class: "selection bar" }, make("output", { class: "selected-count", "aria-live": "polite" }), all);
  const rest = make("span", { class: "when-selected", hidden: true });
  const wrong = make("button", { type: "button" }, "Mark wrong");
  wrong.addEventListener("click", () => {
    const positions = [...chosen];
    chosen.clear();
    markWrong(positions, !positions.every(isWrong));
  });
  const clear = make("button", { type: "button" }, "Clear");
  clear.addEventListener("click", () => {
    chosen.clear();
    refresh();
  });
  rest.append(target("move the selected members to", "Move", (cluster) => {
    const positions = [...chosen];
    chosen.clear();
    move(positions, cluster);
    return null;
  }), wrong, clear);
  bar.append(rest);
  return bar;
}

function showSelection() {
  for (const bar of document.querySelectorAll(".selection")) {
    bar.querySelector(".selected-count").textContent = chosen.size ? `${chosen.size} selected` : "";
    bar.querySelector(".when-selected").hidden = !chosen.size;
  }
}

/** What one sees of a member before one clicks. */
function hover(i, x, y) {
  const tip = byId("tip");
  if (i === null) {
    if (tip.matches(":popover-open")) tip.hidePopover();
    return;
  }
  const facts = [`cluster ${clusterOf(i)}, ${called(clusterOf(i))}`, `${SURE} ${sureOf(i).toFixed(3)}`];
  for (const name of MODALITIES) facts.push(`${name} alone: ${ownText(name, i)}`);
  if (labelOf(i)) facts.push(`label ${labelOf(i)}`);
  const text = make("div", {}, make("b", { dir: "auto" }, short(textOf(i) || nameOf(i), 200)), ...facts.map((fact) => make("div", {}, fact)));
  tip.replaceChildren(...[pictureOf(i), text].filter(Boolean));
  if (tip.matches(":popover-open")) tip.hidePopover(); // shown anew, it lies above a dialog
  tip.showPopover();
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? Math.max(8, y - tip.offsetHeight - 10) : y + 18}px`;
}

function ownText(name, i) {
  const own = data.own[name][i];
  return own < 0 ? "missing" : root(own) === clusterOf(i) ? "the same" : `${root(own)}, ${called(own)}`;
}
