// The page: its data, the drawings of it, and the list of all files. All that is shown is written as text.

"use strict";

const MOST_ROWS = 300;

// An element, or one of a drawing (`svg:g`); children are elements or texts.
function make(name, attributes, ...children) {
  const one = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  one.append(...children);
  return one;
}

function bytes(count) {
  for (const unit of ["bytes", "KiB", "MiB"]) {
    if (count < 1024) return unit === "bytes" ? `${count} bytes` : `${count.toFixed(1)} ${unit}`;
    count /= 1024;
  }
  return `${count.toFixed(1)} GiB`;
}

function many(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function listFiles(files, kinds) {
  const [list, place, filter] = ["files-list", "files", "files-filter"].map((id) => document.getElementById(id));
  const sorted = [...files].sort(([one], [other]) => (one < other ? -1 : 1));
  const draw = () => {
    const found = sorted.filter(([path]) => path.toLowerCase().includes(filter.value.toLowerCase()));
    const head = make("thead", {}, make("tr", {}, ...["bytes", "path", "kind"].map((name) => make("th", { scope: "col" }, name))));
    const rows = found.slice(0, MOST_ROWS).map(([path, size, kind]) =>
      make("tr", {}, make("td", { class: "figure" }, size.toLocaleString("en")), make("td", {}, make("code", {}, path)), make("td", { class: "muted" }, kinds[kind])));
    const more = found.length - rows.length;
    place.replaceChildren(make("table", {}, head, make("tbody", {}, ...rows)), ...(more > 0 ? [make("p", { class: "muted" }, `and ${many(more, "more file")}: say what the path contains`)] : []));
  };
  list.addEventListener("toggle", () => list.open && draw());
  filter.addEventListener("input", draw);
}

const data = JSON.parse(document.getElementById("data").textContent);
drawTreemap(data.files, data.kinds);
drawGraph(data);
listFiles(data.files, data.kinds);
