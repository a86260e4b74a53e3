// The server, as the page talks to it: its answers as values, whatever it refuses as a `Refusal`, and the token for this tab.
// What there is to ask for stands in management.py.

const TOKEN = "tg.token";
const ANSWER_MILLISECONDS = 10_000;
const CHANGE_MILLISECONDS = 600_000; // a version may take its time to load

export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status; // that of HTTP; 0 when there was no answer
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  keep: (secret) => sessionStorage.setItem(TOKEN, secret),
  forget: () => sessionStorage.removeItem(TOKEN),
};

const headers = () => ({ authorization: `Bearer ${token.get()}` });
const NO_ANSWER = "The server does not answer";

function value(status, text) {
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    told = { error: text.slice(0, 500) };
  }
  if (status >= 200 && status < 300) return told;
  throw new Refusal(told.error || `The server answers ${status}`, status);
}

async function ask(method, path, { body, milliseconds = ANSWER_MILLISECONDS } = {}) {
  let answer, text;
  try {
    answer = await fetch(path, { method, body, headers: headers(), signal: AbortSignal.timeout(milliseconds) });
    text = await answer.text();
  } catch {
    throw new Refusal(NO_ANSWER, 0);
  }
  return value(answer.status, text);
}

const change = (method, path, body) => ask(method, path, { body, milliseconds: CHANGE_MILLISECONDS });
const of = (name) => `names/${encodeURIComponent(name)}`;

export const status = (seconds, since) => ask("GET", `status?seconds=${seconds}&since=${since}`);
export const deployments = () => ask("GET", "deployments");
export const rollBack = (name) => change("POST", `${of(name)}/rollback`);
export const unload = (name, version) => change("POST", `${of(name)}/versions/${encodeURIComponent(version)}/unload`);
export const direct = (name, weights, shadow) =>
  change("PUT", `${of(name)}/traffic`, JSON.stringify({ weights, shadow: shadow ?? null }));
export const difference = async (name, before, after) =>
  (await ask("GET", `${of(name)}/difference?${new URLSearchParams({ before, after })}`)).difference;

// Deploys a file. `onProgress` gets the share of it that is sent, which `fetch` does not tell.
export function deploy(file, mode, share, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `packages?${new URLSearchParams({ mode, share })}`);
    for (const [name, text] of Object.entries(headers())) request.setRequestHeader(name, text);
    request.upload.onprogress = (event) => onProgress(event.loaded / (event.total || 1));
    request.upload.onload = () => onProgress(1);
    request.onerror = () => reject(new Refusal(NO_ANSWER, 0));
    request.onload = () => {
      try {
        resolve(value(request.status, request.responseText));
      } catch (refusal) {
        reject(refusal);
      }
    };
    request.send(file);
  });
}
