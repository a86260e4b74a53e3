// Deployments: the last ones with their logs; of one that failed, the reason comes first.

import { html } from "./vendor/htm.preact.js";
import { ago, seconds, time } from "./figures.js";

export const isUnderWay = ({ state }) => state !== "ready" && state !== "failed";

export function Steps({ deployment }) {
  const steps = Object.entries(deployment.seconds).filter(([step]) => step !== "in all");
  return html`<ul class="steps">
    ${steps.map(([step, length]) => html`<li key=${step}>${step} <b>${seconds(length)}</b></li>`)}
  </ul>`;
}

function Deployment({ deployment, isOpen }) {
  const { number, name, version, state, reason, by, at, lines, seconds: lengths } = deployment;
  const log = reason ? lines.filter((line) => line !== reason) : lines;
  return html`<li>
    <details open=${isOpen || isUnderWay(deployment)}>
      <summary>
        <span class="state ${state}">${state}</span>
        <span class="what">${name ? html`${name} <b>${version}</b>` : "a file that was not accepted"}</span>
        <span class="muted">
          #${number} by ${by}, <time title=${time(at)}>${ago(at)}</time>
          ${lengths["in all"] ? `, in ${seconds(lengths["in all"])}` : ""}
        </span>
      </summary>
      ${reason && html`<p class="problem reason">${reason}</p>`}
      ${Object.keys(lengths).length > 0 && html`<${Steps} deployment=${deployment} />`}
      ${log.length > 0 && html`<pre tabindex="0" aria-label=${`Log of deployment ${number}`}>${log.join("\n")}</pre>`}
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
