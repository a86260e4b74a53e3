// Graph: what the payload imports, in layers from left to right. Modules of a package are one node until that is opened.

"use strict";

const MOST_NODES = 28; // so many are drawn at first
const CHARACTER = 7.1, LINE = 15;
const SVG = "http://www.w3.org/2000/svg";

// Groups by dotted name: {name, members: numbers of modules, children: groups, own: the number of the module of that very name}.
function groupsOf(modules) {
  const root = { name: "", members: [], children: new Map(), own: null };
  modules.forEach((name, number) => {
    let group = root;
    group.members.push(number);
    name.split(".").forEach((part) => {
      if (!group.children.has(part)) {
        group.children.set(part, { name: group.name ? `${group.name}.${part}` : part, members: [], children: new Map(), own: null });
      }
      group = group.children.get(part);
      group.members.push(number);
    });
    group.own = number;
  });
  return root;
}

function partsOf(group) {
  const own = group.own === null ? [] : [{ name: group.name, members: [group.own], children: new Map(), own: group.own }];
  return [...own, ...group.children.values()];
}

// Open groups until there are as many nodes as can be looked at: the biggest first, none that would be more than fit.
function cutOf(root, most) {
  let cut = [...root.children.values()];
  for (;;) {
    const next = cut
      .filter((group) => group.children.size && cut.length - 1 + partsOf(group).length <= most)
      .sort((one, other) => other.members.length - one.members.length)[0];
    if (!next) return cut;
    cut = cut.flatMap((group) => (group === next ? partsOf(group) : [group]));
  }
}

function drawGraph({ modules, imports, outside, outsideImports, resources }) {
  const [place, told] = ["graph", "graph-told"].map((id) => document.getElementById(id));
  const root = groupsOf(modules);
  const room = Math.max(8, MOST_NODES - Math.min(resources.length, 8));
  let cut = cutOf(root, room);
  if (!modules.length) {
    place.replaceChildren(make("p", { class: "muted" }, "The payload names nothing of the package."));
    return;
  }

  function nodesAndEdges() {
    const home = new Map();
    const nodes = new Map();
    const at = (key, node) => nodes.set(key, { key, ...node, to: new Map(), from: new Map() });
    cut.forEach((group) => {
      at(`m ${group.name} ${group.members.length}`, { kind: group.children.size ? "group" : "module", name: group.name, group });
      group.members.forEach((number) => home.set(number, `m ${group.name} ${group.members.length}`));
    });
    const edge = (one, other, optional) => {
      if (one === other) return;
      const there = nodes.get(one).to.get(other);
      const both = { count: (there?.count ?? 0) + 1, optional: Boolean((there?.optional ?? true) && optional) };
      nodes.get(one).to.set(other, both);
      nodes.get(other).from.set(one, both);
    };
    resources.forEach(([key, named]) => {
      if (!named.length) return;
      at(`r ${key}`, { kind: "resource", name: key });
      named.forEach((number) => edge(`r ${key}`, home.get(number), false));
    });
    imports.forEach(([one, other, optional]) => edge(home.get(one), home.get(other), optional));
    outside.forEach((name) => at(`o ${name}`, { kind: "outside", name }));
    outsideImports.forEach(([number, name, optional]) => edge(home.get(number), `o ${outside[name]}`, optional));
    // A package that is only there because something in it is imported.
    for (const [key, { to, from }] of nodes) if (!to.size && !from.size && nodes.size > 1) nodes.delete(key);
    return nodes;
  }

  function tell(node) {
    const names = (edges) => [...edges.keys()].map((key) => key.split(" ")[1]).sort();
    const rows = [["imports", names(node.to)], ["imported by", names(node.from)]].filter(([, list]) => list.length);
    const count = node.group ? node.group.members.length : 0;
    told.replaceChildren(
      make("strong", {}, node.name),
      node.kind === "group" ? ` · ${many(count, "module")} ` : node.kind === "outside" ? " · not of the package " : " ",
      ...closeButtons(node),
      ...rows.map(([what, list]) => make("p", {}, make("span", { class: "muted" }, `${what} `), shortened(list))),
    );
  }

  function closeButtons(node) {
    const parent = node.group && node.name.includes(".") ? node.name.slice(0, node.name.lastIndexOf(".")) : null;
    const above = node.group && node.kind === "module" && cut.some((one) => one.name.startsWith(`${node.name}.`)) ? node.name : parent;
    if (!above) return [];
    const button = make("button", {}, `Close ${above}`);
    button.addEventListener("click", () => {
      let group = root;
      for (const part of above.split(".")) group = group.children.get(part);
      cut = [...cut.filter(({ name }) => name !== above && !name.startsWith(`${above}.`)), group];
      draw(above);
    });
    return [button];
  }

  function open(node) {
    if (node.kind !== "group") return tell(node);
    cut = cut.flatMap((group) => (group === node.group ? partsOf(group) : [group]));
    draw(cut.find(({ name }) => name.startsWith(node.name)).name);
  }

  function draw(focused) {
    const nodes = nodesAndEdges();
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ rankdir: "LR", nodesep: 8, edgesep: 3, ranksep: 46, marginx: 8, marginy: 8 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const node of nodes.values()) {
      const dot = node.name.lastIndexOf(".");
      node.lines = dot < 0 || node.kind === "resource" ? [node.name] : [node.name.slice(0, dot + 1), node.name.slice(dot + 1)];
      if (node.kind === "group") node.lines[node.lines.length - 1] += ` (${node.group.members.length.toLocaleString("en")})`;
      node.lines = node.lines.map((line) => (line.length > 34 ? `…${line.slice(-33)}` : line));
      const width = 18 + CHARACTER * Math.max(...node.lines.map((line) => line.length));
      graph.setNode(node.key, { width, height: 10 + LINE * node.lines.length });
    }
    for (const node of nodes.values()) for (const key of node.to.keys()) graph.setEdge(node.key, key);
    dagre.layout(graph);
    const { width, height } = graph.graph();
    const svg = make("svg:svg", { width: Math.ceil(width), height: Math.ceil(height), viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`, role: "group", "aria-label": `${many(nodes.size, "node")}` });
    const drawn = new Map();
    const edges = [];
    graph.edges().forEach(({ v, w }) => {
      const line = make("svg:path", { d: curve(graph.edge(v, w).points), class: `edge${nodes.get(v).to.get(w).optional ? " optional" : ""}` });
      edges.push([v, w, line]);
      svg.append(line);
    });
    for (const node of nodes.values()) {
      const { x, y, width: wide, height: high } = graph.node(node.key);
      const box = make("svg:g", { class: `node ${node.kind}`, tabindex: "0", role: "button", transform: `translate(${x - wide / 2} ${y - high / 2})`, "aria-label": node.kind === "group" ? `Open ${node.name}, ${many(node.group.members.length, "module")}` : node.name });
      box.append(make("svg:rect", { width: wide, height: high, rx: node.kind === "outside" ? high / 2 : 4 }));
      node.lines.forEach((line, at) =>
        box.append(make("svg:text", { x: 9, y: 5 + LINE * (at + 0.78), class: at < node.lines.length - 1 ? "above" : "" }, line)));
      const near = (on) => {
        svg.classList.toggle("chosen", on);
        box.classList.toggle("near", on);
        edges.forEach(([v, w, line]) => {
          if (v !== node.key && w !== node.key) return;
          line.classList.toggle("near", on);
          drawn.get(v === node.key ? w : v).classList.toggle("near", on);
        });
        if (on) tell(node);
      };
      box.addEventListener("pointerenter", () => near(true));
      box.addEventListener("pointerleave", () => near(false));
      box.addEventListener("focus", () => near(true));
      box.addEventListener("blur", () => near(false));
      box.addEventListener("click", () => open(node));
      box.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") event.preventDefault(), open(node);
      });
      drawn.set(node.key, box);
      svg.append(box);
    }
    place.replaceChildren(svg);
    if (focused) [...nodes.values()].filter(({ name }) => name === focused).forEach(({ key }) => drawn.get(key).focus());
  }

  draw();
}

function curve(points) {
  const [first, ...rest] = points.map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`);
  if (points.length < 3) return `M${first}L${rest.join("L")}`;
  // Through the middles between the points, so that there is no corner.
  let path = `M${first}`;
  for (let at = 1; at < points.length - 1; at++) {
    const here = points[at], next = points[at + 1], isLast = at === points.length - 2;
    const to = isLast ? next : { x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 };
    path += `Q${here.x.toFixed(1)} ${here.y.toFixed(1)} ${to.x.toFixed(1)} ${to.y.toFixed(1)}`;
  }
  return path;
}

function shortened(names) {
  return names.length > 40 ? `${names.slice(0, 40).join(", ")} and ${names.length - 40} more` : names.join(", ");
}
