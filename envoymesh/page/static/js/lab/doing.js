// How the lab does something: the button waits, and an error is a sentence beside it, not in a console.
import { useState } from "../../vendor/preact-hooks.js";
import { hasToken, post } from "../api.js";
import { html } from "../html.js";
import { mesh } from "../store.js";

const NO_TOKEN = "This page was opened without its token: open the address that was printed at the start, to change something.";

// [act, busy, problem]: `act(path, body)` resolves to the answer, or to null where it failed.
export function useDoing() {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const act = async (path, body) => {
    setBusy(true);
    setProblem("");
    try {
      return await post(path, body);
    } catch (error) {
      setProblem(error.message);
      return null;
    } finally {
      setBusy(false);
    }
  };
  return [act, busy, problem];
}

// Why something cannot be done here and now, or an empty text.
export function whyNot(what) {
  if (!hasToken()) return NO_TOKEN;
  return (what && mesh.value?.can?.[what]) || "";
}

export const Problem = ({ text }) => html`<p class="problem" role="status">${text}</p>`;

export function Part({ title, why, children }) {
  return html`<section class="lab-part"><h3>${title}</h3>${why && html`<p class="why-not">${why}</p>`}${children}</section>`;
}
