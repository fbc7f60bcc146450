// What all pages share: elements, numbers.

const byId = (id) => document.getElementById(id);

/** An element; names and values come from strangers, so text never becomes markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const fixed = (value) => (typeof value === "number" ? value.toFixed(3) : "–");
const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(3);
const seconds = (value) => (typeof value === "number" ? (value < 100 ? value.toFixed(1) : value.toFixed(0)) : "–");

/** Names and what is told of them. */
function factsList(facts) {
  const entries = Object.entries(facts).map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)));
  return make("dl", { class: "facts" }, ...entries);
}

/** A titled box with a picture, or with why there is none. */
function card(title, missing, drawing, ...buttons) {
  const place = missing ? make("p", { class: "missing" }, missing) : make("div", { class: "plot", role: "img", "aria-label": title });
  const element = make("div", { class: "card" }, make("div", { class: "title" }, make("h3", {}, title), ...buttons), place);
  return { element, show: () => (missing ? null : drawing(place)), place };
}
