// The page of a server: asks once a second what is there, and draws it. Nothing is asked while nobody sees it.

import { html, render, useCallback, useEffect, useRef, useState } from "./vendor/htm.preact.js";
import { colourOf } from "./charts.js";
import { Deploy } from "./deploy.js";
import { Deployments } from "./deployments.js";
import { useConfirmation } from "./dialogs.js";
import { milliseconds, number, time } from "./figures.js";
import { History, SPAN_SECONDS } from "./history.js";
import { Name } from "./name.js";
import * as server from "./server.js";
import { sharesOf } from "./shares.js";

const EVERY_MILLISECONDS = 1000;
const TOLD_MILLISECONDS = 8000; // what was done stays to be read for so long

// What the server said last, with the history of its figures; asks again each second, and at once when `refresh` is called.
function useServer(onRefused) {
  const history = useRef(new History());
  const [state, setState] = useState({ status: null, deployments: [], problem: "", at: 0 });
  const refreshing = useRef(() => {});

  useEffect(() => {
    let timer, known = "", asking = false, again = false, ended = false;
    const ask = async () => {
      clearTimeout(timer);
      if (ended || document.hidden) return;
      if (asking) {
        again = true;
        return;
      }
      asking = true;
      try {
        const status = await server.status(SPAN_SECONDS, history.current.since);
        const { last, under_way } = status.deployments;
        const deployments = known !== `${last} ${under_way}` || under_way ? await server.deployments() : null;
        known = `${last} ${under_way}`;
        history.current.add(status.names);
        if (!ended) setState((before) => ({ status, deployments: deployments ?? before.deployments, problem: "", at: Date.now() / 1000 }));
      } catch (refusal) {
        if (!(refusal instanceof server.Refusal)) throw refusal;
        if (refusal.status === 401) ended = true;
        if (refusal.status === 401) onRefused(refusal.message);
        else if (!ended) setState((before) => ({ ...before, problem: refusal.message }));
      } finally {
        asking = false;
        if (!ended) timer = setTimeout(ask, again ? 0 : EVERY_MILLISECONDS);
        again = false;
      }
    };
    refreshing.current = ask;
    document.addEventListener("visibilitychange", ask);
    ask();
    return () => {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, []);

  const refresh = useCallback(() => refreshing.current(), []);
  return { ...state, history: history.current, refresh };
}

function useChosenName(names) {
  // Not decodeURIComponent, which raises for what somebody has typed.
  const read = () => new URLSearchParams(`name=${location.hash.replace(/^#\/?/, "").replaceAll("+", "%2B")}`).get("name");
  const [chosen, setChosen] = useState(read);
  useEffect(() => {
    const changed = () => setChosen(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return names.includes(chosen) ? chosen : names[0];
}

function Token({ problem, onToken }) {
  const [secret, setSecret] = useState("");
  const submit = (event) => {
    event.preventDefault();
    onToken(secret.trim());
  };
  return html`<main class="token">
    <form onSubmit=${submit}>
      <h1>tg serve</h1>
      <label for="token">Token</label>
      <input id="token" type="password" autocomplete="current-password" autofocus required value=${secret}
        aria-describedby="about-token" onInput=${(event) => setSecret(event.currentTarget.value)} />
      <button class="primary">Show the server</button>
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      <p id="about-token" class="muted">
        The server's own is in the file <code>token</code> of its folder; <code>tg token</code> makes others. It is kept in this tab alone.
      </p>
    </form>
  </main>`;
}

function Shares({ name, traffic }) {
  const shares = Object.entries(sharesOf(traffic.weights));
  return html`<span class="bar" aria-hidden="true">
      ${shares.map(([version, share]) => html`<svg key=${version} class="series-${colourOf(name, version)}" width=${`${share}%`} height="6"><rect width="100%" height="6" /></svg>`)}
    </span>
    <span class="weights">
      ${shares.length === 0 ? html`<span class="muted">nobody</span>` : null}
      ${shares.map(([version, share], index) => html`${index ? ", " : ""}<span class="version" title=${version}>${version}</span> ${share} %`)}
      ${traffic.shadow ? html`, shadow <span class="version">${traffic.shadow}</span>` : null}
    </span>`;
}

function Names({ order, names, chosen, history }) {
  return html`<section class="names" aria-labelledby="names">
    <h2 id="names" class="hidden">Names</h2>
    <table>
      <thead>
        <tr>
          <th scope="col">name</th><th scope="col">requests go to</th><th scope="col" class="figure">rate</th>
          <th scope="col" class="figure">p50</th><th scope="col" class="figure">p99</th><th scope="col" class="figure">errors</th>
        </tr>
      </thead>
      <tbody>
        ${order.map((name) => {
          const { traffic } = names[name];
          const { rate, p50, p99, errors } = history.now(name);
          return html`<tr key=${name} class=${name === chosen ? "chosen" : ""}>
            <th scope="row"><a href=${`#/${encodeURIComponent(name)}`} aria-current=${name === chosen ? "true" : undefined}>${name}</a></th>
            <td class="goes"><${Shares} name=${name} traffic=${traffic} /></td>
            <td class="figure" data-label="rate">${number(rate)}/s</td>
            <td class="figure" data-label="p50">${milliseconds(p50)}</td>
            <td class="figure" data-label="p99">${milliseconds(p99)}</td>
            <td class="figure ${errors ? "differ" : ""}" data-label="errors">${number(errors)}/s</td>
          </tr>`;
        })}
      </tbody>
    </table>
  </section>`;
}

function addressOf({ host, port }) {
  const reached = ["0.0.0.0", "::", ""].includes(host) ? location.hostname : host;
  return port ? `${location.protocol}//${reached.includes(":") ? `[${reached}]` : reached}:${port}` : "";
}

function Server({ onRefused }) {
  const { status, deployments, problem, at, history, refresh } = useServer(onRefused);
  const { confirm, dialog } = useConfirmation();
  const [told, setTold] = useState("");
  const [deploying, setDeploying] = useState(null); // {file} while the dialog is open
  const names = Object.keys(status?.names ?? {}).sort();
  const chosen = useChosenName(names);
  const mayDeploy = status?.token.may_deploy ?? false;

  useEffect(() => {
    document.title = chosen ? `${chosen} – tg serve` : "tg serve";
  }, [chosen]);

  useEffect(() => {
    const timer = setTimeout(() => setTold(""), TOLD_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [told]);

  useEffect(() => {
    if (!mayDeploy) return;
    const over = (event) => event.preventDefault();
    const drop = (event) => {
      event.preventDefault();
      if (event.dataTransfer?.files.length) setDeploying((open) => open ?? { file: event.dataTransfer.files[0] });
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, [mayDeploy]);

  for (const [name, { versions }] of Object.entries(status?.names ?? {}))
    for (const { version, workers } of [...versions].reverse()) if (workers) colourOf(name, version); // the oldest first, as when it is loaded anew

  const known = status?.names[chosen];
  const withWorkers = new Set((known?.versions ?? []).filter(({ workers }) => workers).map(({ version }) => version));
  return html`<header class="top">
      <h1>tg serve</h1>
      <span class="muted host">${location.host}</span>
      ${status && html`<span class="state ${problem ? "failed" : status.ready ? "ready" : "loading"}">${problem ? "no answer" : status.ready ? "ready" : "not ready"}</span>`}
      <span class="space"></span>
      ${status && html`<span class="muted who">${status.token.name}${mayDeploy ? "" : ", may only read"}</span>`}
      <button type="button" class="quiet" onClick=${() => onRefused("")}>Forget token</button>
      ${mayDeploy && html`<button type="button" class="primary" onClick=${() => setDeploying({ file: null })}>Deploy…</button>`}
    </header>
    <main class=${problem ? "stale" : ""}>
      ${problem && html`<p class="problem" role="alert">${problem}${at ? `; what is shown is of ${time(at)}` : ""}. Asking again.</p>`}
      ${status && names.length === 0 && html`<p class="empty">Nothing is served yet. ${mayDeploy ? "Drop a package file here, or " : "From a terminal: "}<code>tg deploy FILE --to ${location.origin}</code></p>`}
      ${names.length > 0 && html`<${Names} order=${names} names=${status.names} chosen=${chosen} history=${history} />`}
      ${known &&
      html`<${Name} key=${chosen} name=${chosen} known=${known} columns=${history.columns(chosen, withWorkers)}
        address=${addressOf(status.requests)} mayDeploy=${mayDeploy} confirm=${confirm} onChange=${refresh} onTell=${setTold} />`}
      ${status && html`<${Deployments} deployments=${deployments} />`}
    </main>
    <div class="told" role="status">${told && html`<p>${told}</p>`}</div>
    ${deploying && html`<${Deploy} given=${deploying.file} deployments=${deployments} onDone=${refresh} onClose=${() => setDeploying(null)} />`}
    ${dialog}`;
}

function Page() {
  const [secret, setSecret] = useState(server.token.get());
  const [problem, setProblem] = useState("");
  const refused = (why) => {
    server.token.forget();
    setProblem(why && "That token is not accepted here.");
    setSecret("");
  };
  const accept = (given) => {
    server.token.keep(given);
    setProblem("");
    setSecret(given);
  };
  return secret ? html`<${Server} onRefused=${refused} />` : html`<${Token} problem=${problem} onToken=${accept} />`;
}

render(html`<${Page} />`, document.getElementById("page"));
