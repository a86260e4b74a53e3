// One name: its figures, its versions with their shares of the requests, and what can be done with them.

import { html, useState } from "./vendor/htm.preact.js";
import { Charts, colourOf } from "./charts.js";
import { Difference } from "./difference.js";
import { ago, bytes, milliseconds, number, time } from "./figures.js";
import * as server from "./server.js";
import { isSame, moved, sharesOf, told, withoutNone } from "./shares.js";

const SHORT = 120; // characters of a reason

function Share({ version, share, isChangeable, onMove }) {
  if (!isChangeable) return html`<span class="share"><span class="percent">${share ? `${share} %` : ""}</span></span>`;
  return html`<span class="share">
    <input type="range" min="0" max="100" value=${share} aria-label=${`Share of ${version}, per cent`}
      onInput=${(event) => onMove(Number(event.currentTarget.value))} />
    <span class="percent">${share} %</span>
  </span>`;
}

function Reason({ text }) {
  if (text.length <= SHORT) return html`<span class="differ">${text}</span>`;
  return html`<details><summary class="differ">${text.slice(0, SHORT)}…</summary><p class="problem">${text}</p></details>`;
}

function Row({ name, version: known, figures, share, roles, mayDeploy, busy, onMove, actions }) {
  const { version, state, reason, source, deployed_at, deployed_by, workers, waiting, memory_bytes } = known;
  const isLoaded = workers > 0;
  return html`<tr class=${isLoaded ? "" : "apart"}>
    <th scope="row" data-label="version">
      <span class="swatch ${isLoaded ? `series-${colourOf(name, version)}` : ""}" aria-hidden="true"></span>
      <span class="version" title=${version}>${version}</span>
      ${roles.map((role) => html` <span class="role ${role}">${role}</span>`)}
    </th>
    <td data-label="state">
      <span class="state ${state}">${state}</span>
    </td>
    ${reason ? html`<td colspan="5"><${Reason} text=${reason} /></td>` : html`
    <td data-label="share" class=${isLoaded || share ? "" : "bare"}>
      <${Share} version=${version} share=${share} isChangeable=${mayDeploy && (isLoaded || share > 0)} onMove=${onMove} />
    </td>
    <td data-label="rate" class="figure">${figures && html`${number(figures.requests)}/s`}</td>
    <td data-label="p50" class="figure">${figures && milliseconds(figures.p50)}</td>
    <td data-label="p99" class="figure">${figures && milliseconds(figures.p99)}</td>
    <td data-label="errors" class="figure ${figures?.errors ? "differ" : ""}">${figures && html`${number(figures.errors)}/s`}</td>`}
    <td data-label="source" class="begins"><code title=${source}>${source.replace(/^sha256:/, "").slice(0, 8)}</code></td>
    <td data-label="deployed"><time title=${time(deployed_at)}>${ago(deployed_at)}</time> by ${deployed_by}</td>
    <td data-label="workers" class="figure ${isLoaded ? "" : "bare"}">${workers || ""}${waiting ? html`<span class="muted">, ${waiting} wait</span>` : ""}</td>
    <td data-label="memory" class="figure ${isLoaded ? "" : "bare"}">${isLoaded ? bytes(memory_bytes) : ""}</td>
    <td class="actions">
      ${actions.map(
        ({ verb, label, act }) =>
          html`<button key=${verb} type="button" class="quiet" disabled=${busy} aria-label=${label} onClick=${act}>${verb}</button>`,
      )}
    </td>
  </tr>`;
}

export function Name({ name, known, columns, address, mayDeploy, confirm, onChange, onTell }) {
  const [draft, setDraft] = useState(null); // shares that are not applied
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [compared, setCompared] = useState(null);
  const [cursor, setCursor] = useState(null); // where the charts are pointed at

  const { traffic, previous, held, versions, shadow_answers: answers } = known;
  const applied = sharesOf(traffic.weights);
  const shares = draft ?? applied;
  const live = Object.keys(traffic.weights).reduce((most, one) => (traffic.weights[one] > (traffic.weights[most] ?? 0) ? one : most), "");
  const isDraft = draft !== null && !isSame(draft, applied);
  const read = cursor !== null && cursor < columns.times.length ? cursor : columns.times.length - 1;
  const figuresOf = (version) => {
    const own = columns.figures.get(version);
    return own && Object.fromEntries(Object.entries(own).map(([part, values]) => [part, values[read]]));
  };
  const newest = versions.map(({ version }) => version);

  const act = async (call, done) => {
    setBusy(true);
    setProblem("");
    try {
      await call();
      setDraft(null);
      onTell(done);
    } catch (refusal) {
      setProblem(refusal.message);
    }
    setBusy(false);
    onChange();
  };
  const direct = (weights, shadow, done) => act(() => server.direct(name, withoutNone(weights), shadow), done);

  const heirOf = (version) =>
    [live, previous, ...versions.filter(({ workers }) => workers).map((one) => one.version)].find((one) => one && one !== version);
  const move = (version, share) => setDraft(moved(shares, version, share, heirOf(version)));

  const apply = async () => {
    const losing = Object.keys(applied).filter((version) => !draft[version]);
    const wanted =
      !losing.length ||
      (await confirm({
        question: `Take all requests from ${losing.join(", ")}?`,
        consequence: `Requests for ${name} will go to ${told(draft)}. What is under way ends where it began.`,
        verb: "Take them",
      }));
    if (wanted) direct(draft, traffic.shadow in draft ? null : traffic.shadow, `Requests for ${name} go to ${told(draft)}.`);
  };
  const rollBack = async () => {
    const wanted = await confirm({
      question: `Roll ${name} back to ${previous}?`,
      consequence: `Requests go to ${told(applied)} now, and all will go to ${previous}, which is ready. What is under way ends where it began.`,
      verb: `Roll back to ${previous}`,
    });
    if (wanted) act(() => server.rollBack(name), `${name} is back at ${previous}.`);
  };
  const giveAll = async (version) => {
    const wanted = await confirm({
      question: `Give all requests for ${name} to ${version}?`,
      consequence: `Requests go to ${told(applied)} now. What is under way ends where it began.`,
      verb: `Give all to ${version}`,
    });
    if (wanted) direct({ [version]: 100 }, traffic.shadow === version ? null : traffic.shadow, `All requests for ${name} go to ${version}.`);
  };

  const actionsOf = ({ version, state, workers }) => {
    const others = newest.filter((one) => one !== version);
    const found = [];
    const add = (verb, what, call) => found.push({ verb, label: `${verb} ${what}`, act: call });
    if (mayDeploy && state !== "failed" && !["installing", "loading", "warming", "draining"].includes(state)) {
      if (applied[version] !== 100) add("Give all", `requests to ${version}`, () => giveAll(version));
      if (traffic.shadow === version) add("End shadow", version, () => direct(traffic.weights, null, `${version} is no shadow any more.`));
      else if (!applied[version] && live) add("Shadow", version, () => direct(traffic.weights, version, `${version} is asked as well.`));
      if (workers && !applied[version] && traffic.shadow !== version)
        add("Unload", version, () => act(() => server.unload(name, version), `${version} is unloaded.`));
    }
    if (others.length) {
      const against = version !== live && live ? live : others[Math.max(0, newest.indexOf(version))] ?? others.at(-1);
      add("Diff", `${version} against ${against}`, () => setCompared([against, version]));
    }
    return found;
  };
  const rolesOf = ({ version }) =>
    [
      version === live && "live",
      applied[version] && version !== live && "canary",
      version === traffic.shadow && "shadow",
      version === previous && !applied[version] && "previous",
      held.includes(version) && "held",
    ].filter(Boolean);

  return html`<section class="name" aria-labelledby="name" aria-busy=${busy}>
    <header>
      <h2 id="name">${name}</h2>
      ${address && html`<code class="address">POST ${address}/${name}</code> <a href=${`${address}/docs`} target="_blank" rel="noreferrer">API</a>`}
      ${mayDeploy && previous
        ? html`<button type="button" disabled=${busy} onClick=${rollBack}>Roll back to ${previous}</button>`
        : null}
    </header>
    <${Charts} name=${name} columns=${columns} at=${cursor !== null && columns.times[read]} onRead=${setCursor} />
    <div class="versions">
      <table>
        <caption class="hidden">Versions of ${name}</caption>
        <thead>
          <tr>
            <th scope="col">version</th><th scope="col">state</th><th scope="col">share</th>
            <th scope="col" class="figure">rate</th><th scope="col" class="figure">p50</th><th scope="col" class="figure">p99</th>
            <th scope="col" class="figure">errors</th><th scope="col" class="begins">source</th><th scope="col">deployed</th><th scope="col" class="figure">workers</th><th scope="col" class="figure">memory</th>
            <th scope="col"><span class="hidden">actions</span></th>
          </tr>
        </thead>
        <tbody>
          ${versions.map(
            (version) => html`<${Row} key=${version.version} name=${name} version=${version} figures=${figuresOf(version.version)} share=${shares[version.version] ?? 0}
              roles=${rolesOf(version)} mayDeploy=${mayDeploy} busy=${busy} actions=${actionsOf(version)}
              onMove=${(share) => move(version.version, share)} />`,
          )}
        </tbody>
      </table>
    </div>
    ${answers &&
    html`<p class="muted">
      Shadow ${traffic.shadow}: ${answers.same + answers.different} answers compared, ${" "}
      <b class=${answers.different ? "differ" : ""}>${answers.different} different</b>.
    </p>`}
    ${isDraft &&
    html`<div class="draft" role="group" aria-label="Shares that are not applied">
      <span role="status">Requests would go to <b>${told(draft)}</b>; now ${told(applied)}.</span>
      <button type="button" class="primary" disabled=${busy} onClick=${apply}>Apply</button>
      <button type="button" disabled=${busy} onClick=${() => setDraft(null)}>Discard</button>
    </div>`}
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    ${compared &&
    html`<${Difference} name=${name} versions=${newest} before=${compared[0]} after=${compared[1]}
      onChoose=${(before, after) => setCompared([before, after])} onClose=${() => setCompared(null)} />`}
  </section>`;
}
