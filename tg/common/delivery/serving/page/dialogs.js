// Dialogs: the browser's own, modal, which keep the focus, end with Escape and give the focus back.

import { html, useEffect, useRef, useState } from "./vendor/htm.preact.js";

export function Dialog({ label, onClose, children }) {
  const dialog = useRef();
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  const onBackdrop = (event) => event.target === dialog.current && dialog.current.close();
  return html`<dialog ref=${dialog} aria-label=${label} onClose=${onClose} onMouseDown=${onBackdrop}>
    <div class="inside">${children}</div>
  </dialog>`;
}

// `confirm({question, consequence, verb})` is a promise of whether it is wanted; `dialog` has to be drawn somewhere.
export function useConfirmation() {
  const [asked, setAsked] = useState(null);
  const confirm = (about) => new Promise((resolve) => setAsked({ ...about, resolve }));
  const answer = (wanted) => {
    asked.resolve(wanted);
    setAsked(null);
  };
  const dialog =
    asked &&
    html`<${Dialog} label=${asked.question} onClose=${() => answer(false)}>
      <h2>${asked.question}</h2>
      <p>${asked.consequence}</p>
      <div class="buttons">
        <button type="button" onClick=${() => answer(false)}>Cancel</button>
        <button type="button" class="primary" autofocus onClick=${() => answer(true)}>${asked.verb}</button>
      </div>
    <//>`;
  return { confirm, dialog };
}
