// Difference: a unified diff of two versions' source, read into files and lines, and drawn file by file.

import { html, useEffect, useState } from "./vendor/htm.preact.js";
import * as server from "./server.js";

const OPEN_LINES = 400; // a file with more starts closed,
const OPEN_LINES_IN_ALL = 3000; // and so do those that come after so many

// [{path, is, added, removed, lines: [{kind, before, after, text}]}]; hunks say how many lines they have, so text may look like anything.
export function filesOf(difference) {
  const files = [];
  const lines = difference.split("\n");
  if (lines.at(-1) === "") lines.pop();
  let before = 0, after = 0, beforeLeft = 0, afterLeft = 0;
  lines.forEach((line, index) => {
    const file = files.at(-1);
    if (beforeLeft > 0 || afterLeft > 0 || line.startsWith("\\")) {
      const kind = { "+": "added", "-": "removed", "\\": "note" }[line[0]] ?? "same";
      const own = { kind, text: kind === "note" ? line.slice(2) : line.slice(1) };
      if (kind === "same" || kind === "removed") (own.before = before++), beforeLeft--;
      if (kind === "same" || kind === "added") (own.after = after++), afterLeft--;
      if (kind in file) file[kind] += 1;
      file.lines.push(own);
      return;
    }
    const hunk = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (hunk) {
      [before, after] = [Number(hunk[1]), Number(hunk[3])];
      [beforeLeft, afterLeft] = [Number(hunk[2] ?? 1), Number(hunk[4] ?? 1)];
      file.lines.push({ kind: "hunk", text: line });
    } else if (line.startsWith("--- ")) {
      const [old, now] = [line.slice(4).trim(), lines[index + 1].slice(4).trim()];
      const is = old === "/dev/null" ? "added" : now === "/dev/null" ? "removed" : "changed";
      files.push({ path: is === "added" ? now : old, is, added: 0, removed: 0, lines: [] });
    } else if (!line.startsWith("+++ ")) {
      file.lines.push({ kind: "note", text: line });
    }
  });
  return files;
}

const SIGN = { added: "+", removed: "−", same: " ", hunk: "", note: "" };

function File({ file, isOpen }) {
  const [open, setOpen] = useState(isOpen);
  return html`<details class="file" open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>
      <code>${file.path}</code>
      <span class="counts">
        ${file.is !== "changed" ? html`<span>${file.is}</span>` : null}
        <span class="added">+${file.added}</span> <span class="removed">−${file.removed}</span>
      </span>
    </summary>
    ${open &&
    html`<div class="lines" tabindex="0" role="region" aria-label=${`Changes of ${file.path}`}>
      <table>
        <tbody>
          ${file.lines.map(
            ({ kind, before, after, text }) => html`<tr class=${kind}>
              <td class="place">${before}</td>
              <td class="place">${after}</td>
              <td class="sign">${SIGN[kind]}</td>
              <td class="text">${text}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`}
  </details>`;
}

export function Difference({ name, versions, before, after, onChoose, onClose }) {
  const [told, setTold] = useState({});
  useEffect(() => {
    let wanted = true;
    setTold({});
    server.difference(name, before, after).then(
      (text) => wanted && setTold({ files: filesOf(text) }),
      (refusal) => wanted && setTold({ problem: refusal.message }),
    );
    return () => {
      wanted = false;
    };
  }, [name, before, after]);
  const choice = (label, chosen, choose) => html`<label>
    ${label}${" "}
    <select onChange=${(event) => choose(event.currentTarget.value)}>
      ${versions.map((version) => html`<option value=${version} selected=${version === chosen}>${version}</option>`)}
    </select>
  </label>`;
  const { files, problem } = told;
  let left = OPEN_LINES_IN_ALL;
  const isOpen = ({ lines: { length } }) => length <= OPEN_LINES && (left -= length) >= 0;
  return html`<section class="difference" aria-label="Difference of the source">
    <header>
      <h3>Source</h3>
      ${choice("from", before, (version) => onChoose(version, after))}
      ${choice("to", after, (version) => onChoose(before, version))}
      <span class="muted" role="status">
        ${files ? (files.length ? `${files.length} ${files.length === 1 ? "file differs" : "files differ"}` : "the same") : problem ? "" : "reading…"}
      </span>
      <button type="button" class="quiet" onClick=${onClose}>Close</button>
    </header>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    ${files && files.map((file) => html`<${File} key=${`${before} ${after} ${file.path}`} file=${file} isOpen=${isOpen(file)} />`)}
  </section>`;
}
