// Treemap: the files of the package by size, folder by folder; a click goes into one. Many small files of a folder are one cell.

"use strict";

const MOST_CHILDREN = 60; // of a folder, each drawn by itself; the smaller ones are one cell that can be gone into
const OPEN_WIDTH = 70, OPEN_HEIGHT = 44; // a folder that is smaller than this is one cell
const HEAD = 18;

// {name, path, size, kind, count, children}; a folder with one thing in it is one with that, `a/b`.
function treeOf(files) {
  const root = { name: "", path: "", folders: new Map(), files: [] };
  for (const [path, size, kind] of files) {
    const parts = path.split("/");
    const name = parts.pop();
    let folder = root;
    for (const part of parts) {
      if (!folder.folders.has(part)) {
        folder.folders.set(part, { name: part, path: folder.path ? `${folder.path}/${part}` : part, folders: new Map(), files: [] });
      }
      folder = folder.folders.get(part);
    }
    folder.files.push({ name, path, size, kind, count: 1 });
  }
  return closed(root);
}

function closed(folder) {
  const inside = [...folder.folders.values()].map(closed);
  const children = [...inside, ...folder.files].sort((one, other) => other.size - one.size || (one.path < other.path ? -1 : 1));
  if (folder.path && children.length === 1) {
    return { ...children[0], name: `${folder.name}/${children[0].name}` };
  }
  return grouped({ name: folder.name, path: folder.path, children });
}

function grouped({ name, path, children }) {
  const sum = (what) => children.reduce((all, one) => all + one[what], 0);
  const node = { name, path, size: sum("size"), count: sum("count"), kinds: kindsOf(children) };
  if (children.length > MOST_CHILDREN) {
    const rest = children.slice(MOST_CHILDREN - 1);
    const others = grouped({ name: `${rest.length} smaller`, path: `${path}: ${rest.length} smaller`, children: rest });
    children = [...children.slice(0, MOST_CHILDREN - 1), others];
  }
  return { ...node, children };
}

function kindsOf(children) {
  const sizes = new Map();
  for (const one of children) {
    for (const [kind, size] of one.kinds ?? [[one.kind, one.size]]) sizes.set(kind, (sizes.get(kind) ?? 0) + size);
  }
  return sizes;
}

function mainKind({ kind, kinds }) {
  return kind ?? [...kinds].sort(([, one], [, other]) => other - one)[0]?.[0] ?? 0;
}

function drawTreemap(files, kinds) {
  const [map, path, told, list, legend] = ["map", "map-path", "map-told", "map-list", "map-kinds"].map((id) => document.getElementById(id));
  const root = treeOf(files);
  let way = [root];

  function tell(node) {
    const share = root.size ? ` · ${((100 * node.size) / root.size).toFixed(1)} %` : "";
    const what = node.children ? `${many(node.count, "file")}` : kinds[node.kind];
    told.textContent = `${node.path || "all"} · ${bytes(node.size)}${share} · ${what}`;
  }

  function go(next, focus) {
    way = next;
    draw();
    if (focus) path.lastElementChild.focus();
  }

  function draw() {
    const top = way.at(-1);
    path.replaceChildren(
      ...way.map((node, depth) => {
        const name = depth ? node.name : "all";
        const one = make(depth < way.length - 1 ? "button" : "span", {}, name);
        if (depth < way.length - 1) one.addEventListener("click", () => go(way.slice(0, depth + 1), true));
        else one.tabIndex = -1;
        return one;
      }),
    );
    list.replaceChildren(...(top.children ?? []).map((node) => make("li", {}, opened(node), " ", make("span", { class: "muted" }, bytes(node.size)))));
    const width = map.clientWidth, height = Math.max(300, Math.min(560, Math.round(width * (width < 600 ? 1.1 : 0.5))));
    map.style.height = `${height}px`;
    const tree = d3.hierarchy(top, (node) => node.children).sum((node) => (node.children ? 0 : Math.max(node.size, 1)));
    d3.treemap().size([width, height]).paddingInner(1).paddingOuter((node) => (node.depth ? 2 : 0)).paddingTop((node) => (node.depth ? HEAD : 0)).round(true)(tree);
    map.replaceChildren(...tree.children?.flatMap((node) => cells(node, [])) ?? []);
    tell(top);
  }

  // What is in the folder as a list, since what is small beside the rest cannot be hit.
  function opened(node) {
    if (!node.children) return node.name;
    const one = make("button", {}, node.name);
    one.addEventListener("click", () => go([...way, node], true));
    return one;
  }

  function cells(node, above) {
    const { x0, y0, x1, y1, data } = node;
    const width = x1 - x0, height = y1 - y0;
    if (width < 2 || height < 2) return [];
    const isFolder = Boolean(data.children), isOpen = isFolder && width > OPEN_WIDTH && height > OPEN_HEIGHT;
    const cell = make(isFolder ? "button" : "div", { class: `cell kind-${mainKind(data)}${isOpen ? " open" : ""}` });
    Object.assign(cell.style, { left: `${x0}px`, top: `${y0}px`, width: `${width}px`, height: `${height}px` });
    if (width > 30 && height > 15) cell.append(make("span", { class: "name" }, data.name));
    if (!isOpen && width > 60 && height > 34) cell.append(make("span", { class: "size" }, bytes(data.size)));
    if (isFolder) cell.setAttribute("aria-label", `${data.path}, ${bytes(data.size)}, ${many(data.count, "file")}`);
    for (const event of ["pointerenter", "focus", "click"]) cell.addEventListener(event, () => tell(data));
    if (isFolder) cell.addEventListener("click", () => go([...way, ...above, data], true));
    return [cell, ...(isOpen ? node.children.flatMap((child) => cells(child, [...above, data])) : [])];
  }

  const sizes = [...root.kinds].sort(([one], [other]) => one - other);
  legend.replaceChildren(
    ...sizes.map(([kind, size]) => make("li", {}, make("span", { class: `swatch kind-${kind}` }), `${kinds[kind]} `, make("span", { class: "muted" }, bytes(size)))),
  );
  draw();
  let width = map.clientWidth;
  new ResizeObserver(() => {
    if (map.clientWidth !== width) (width = map.clientWidth), draw();
  }).observe(map);
}
