// Deployments: the last ones with their logs; of one that failed, the reason comes first.

import { html } from "./vendor/htm.preact.js";
import { ago, seconds, time } from "./figures.js";

const SHORTEST_SECONDS = 0.0005; // of a step that is worth a word

export const isUnderWay = ({ state }) => state !== "ready" && state !== "failed";

export function Steps({ deployment }) {
  const steps = Object.entries(deployment.seconds).filter(([step, length]) => step !== "in all" && length >= SHORTEST_SECONDS);
  if (!steps.length) return null;
  return html`<ul class="steps">
    ${steps.map(([step, length]) => html`<li key=${step}>${step} <b>${seconds(length)}</b></li>`)}
  </ul>`;
}

export function Log({ deployment: { number, reason, lines } }) {
  const log = lines.filter((line) => line !== reason);
  return log.length ? html`<pre class="log" tabindex="0" role="region" aria-label=${`Log of deployment ${number}`}>${log.join("\n")}</pre>` : null;
}

function Deployment({ deployment, isOpen }) {
  const { number, name, version, state, reason, by, at, seconds: lengths } = deployment;
  return html`<li>
    <details open=${isOpen || isUnderWay(deployment)}>
      <summary>
        <span class="state ${state}">${state}</span>
        <span class="what">${name ? html`${name} <b>${version}</b>` : "a file that was not accepted"}</span>
        ${reason && html`<span class="because differ">${reason}</span>`}
        <span class="muted">
          #${number} by ${by}, <time title=${time(at)}>${ago(at)}</time>
          ${lengths["in all"] ? `, in ${seconds(lengths["in all"])}` : ""}
        </span>
      </summary>
      ${reason && html`<p class="problem reason">${reason}</p>`}
      <${Steps} deployment=${deployment} />
      <${Log} deployment=${deployment} />
    </details>
  </li>`;
}

export function Deployments({ deployments }) {
  const latest = deployments[0];
  return html`<section class="deployments" aria-labelledby="deployments">
    <h2 id="deployments">Deployments</h2>
    ${deployments.length === 0
      ? html`<p class="muted">None since the server has started.</p>`
      : html`<ol reversed>
          ${deployments.map(
            (one) => html`<${Deployment} key=${one.number} deployment=${one} isOpen=${one === latest && one.state === "failed"} />`,
          )}
        </ol>`}
  </section>`;
}
