// Deploy: a package file is chosen or dropped, sent with its progress, and followed until it is ready or why it is not.

import { html, useState } from "./vendor/htm.preact.js";
import { bytes, seconds } from "./figures.js";
import { Dialog } from "./dialogs.js";
import { isUnderWay, Log, Steps } from "./deployments.js";
import * as server from "./server.js";
import { sharesOf, told } from "./shares.js";

const MODES = [
  ["live", "all requests", "the version before stays ready for a rollback"],
  ["canary", "a share", "the others keep the rest"],
  ["shadow", "a copy", "its answers are compared, never returned"],
  ["none", "none", "it is kept ready"],
];

export function Deploy({ given, deployments, onDone, onClose }) {
  const [file, setFile] = useState(given);
  const [mode, setMode] = useState("live");
  const [share, setShare] = useState(10);
  const [sent, setSent] = useState(null); // the share of the file that the server has; null before it is asked for
  const [after, setAfter] = useState(0); // the last deployment before this one
  const [ended, setEnded] = useState(null);
  const [isOver, setOver] = useState(false);

  const send = async (event) => {
    event.preventDefault();
    setAfter(deployments[0]?.number ?? 0);
    setEnded(null);
    setSent(0);
    try {
      setEnded({ deployment: await server.deploy(file, mode, share, setSent) });
    } catch (refusal) {
      setEnded({ problem: refusal.message });
    }
    setSent(null);
    onDone();
  };
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer.files.length) setFile(event.dataTransfer.files[0]);
  };
  const drag = (event) => {
    event.preventDefault();
    setOver(true);
  };

  const busy = sent !== null;
  const done = ended?.deployment;
  const own = done ?? (busy && sent === 1 ? deployments.find((one) => one.number > after && isUnderWay(one)) : null);
  const failed = ended?.problem && deployments.find((one) => one.number > after && one.reason === ended.problem);
  return html`<${Dialog} label="Deploy a package" onClose=${onClose}>
    <form class="deploy" onSubmit=${send}>
      <h2>Deploy a package</h2>
      <label class="drop ${isOver ? "over" : ""}" onDrop=${drop} onDragOver=${drag} onDragLeave=${() => setOver(false)}>
        <span>${file ? html`<code>${file.name}</code> ${bytes(file.size)}` : "Drop a wheel here, or choose one"}</span>
        <input type="file" accept=".whl" disabled=${busy} onChange=${(event) => setFile(event.currentTarget.files[0] ?? file)} />
      </label>
      <fieldset disabled=${busy}>
        <legend>Requests that it gets</legend>
        ${MODES.map(
          ([value, name, consequence]) => html`<label class="mode">
              <input type="radio" name="mode" value=${value} checked=${mode === value} onChange=${() => setMode(value)} />
              <span><b>${name}</b> <span class="muted">${consequence}</span></span>
            </label>
            ${value === "canary" &&
            mode === value &&
            html`<span class="share">
              <input type="range" min="1" max="99" value=${share} aria-label="Share of the requests, per cent"
                onInput=${(event) => setShare(Number(event.currentTarget.value))} />
              <span class="percent">${share} %</span>
            </span>`}`,
        )}
      </fieldset>
      <div class="progress" role="status">
        ${busy &&
        html`${sent < 1
            ? html`<progress key="sending" aria-label="Sent" max="1" value=${sent}></progress>`
            : html`<progress key="waiting" aria-label="Being deployed"></progress>`}
          <p>${sent < 1 ? `sending, ${Math.floor(100 * sent)} %` : own ? `${own.state}…` : "the server has it…"}</p>`}
        ${own && html`<${Log} deployment=${own} />`}
        ${done &&
        html`<p class="done">
            <b>${done.name} ${done.version}</b> is ready after ${seconds(done.seconds["in all"])}; requests go to ${told(sharesOf(done.traffic.weights))}.
          </p>
          <${Steps} deployment=${done} />`}
      </div>
      ${ended?.problem && html`<p class="problem" role="alert">${ended.problem}</p>`}
      ${failed && html`<${Log} deployment=${failed} />`}
      <div class="buttons">
        <button type="button" onClick=${onClose}>${ended || busy ? "Close" : "Cancel"}</button>
        ${!done && html`<button class="primary" disabled=${!file || busy}>Deploy</button>`}
      </div>
    </form>
  <//>`;
}
