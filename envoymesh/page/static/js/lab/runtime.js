// Weights that are runtime keys, and any other runtime value of a proxy, changed while it runs.
import { useState } from "../../vendor/preact-hooks.js";
import { html } from "../html.js";
import { mesh, proxies } from "../store.js";
import { Part, Problem, useDoing, whyNot } from "./doing.js";

export function Runtime() {
  const [act, busy, problem] = useDoing();
  const why = whyNot("runtime");
  const change = (proxy, key, value) => act("runtime", { proxy, values: { [key]: String(value) } });
  const weights = mesh.value?.weights ?? [];
  return html`<${Part} title="Weights and runtime" why=${why}>
    ${weights.map((each) => html`<${Weight} key=${`${each.proxy} ${each.key}`} weight=${each} disabled=${busy || why}
      change=${(value) => change(each.proxy, each.key, value)} />`)}
    <${Values} change=${change} disabled=${busy || why} />
    <${Problem} text=${problem} />
  <//>`;
}

// While it is dragged it shows what the hand says, not what the next snapshot says.
function Weight({ weight, disabled, change }) {
  const [dragged, setDragged] = useState(null);
  const shown = dragged ?? weight.weight;
  const drop = async (event) => {
    await change(event.target.value);
    setDragged(null);
  };
  return html`<label class="weight"><span>${weight.cluster}</span>
    <input type="range" min="0" max="100" value=${shown} disabled=${disabled} aria-label="Weight of ${weight.cluster}"
           onInput=${(event) => setDragged(event.target.value)} onChange=${drop} /><output>${shown}</output></label>`;
}

function Values({ change, disabled }) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const [proxy, setProxy] = useState("");
  const names = proxies.value.map((node) => node.id);
  const where = proxy || names[0];
  const known = Object.entries(mesh.value?.runtime_values?.[where] ?? {});
  const set = (event) => {
    event.preventDefault();
    change(where, key, value);
  };
  return html`<form onSubmit=${set}>
    ${names.length > 1 && html`<select aria-label="Proxy" onChange=${(event) => setProxy(event.target.value)}>
      ${names.map((name) => html`<option key=${name}>${name}</option>`)}</select>`}
    ${known.length > 0 && html`<dl class="values">${known.map(([name, each]) => html`<div key=${name}><dt>${name}</dt><dd>${each}</dd></div>`)}</dl>`}
    <div class="row"><input class="grows" aria-label="Runtime key" placeholder="key" required value=${key} onInput=${(event) => setKey(event.target.value)} />
      <input class="short" aria-label="Runtime value" placeholder="value" value=${value} onInput=${(event) => setValue(event.target.value)} />
      <button disabled=${disabled}>Set</button></div>
  </form>`;
}
