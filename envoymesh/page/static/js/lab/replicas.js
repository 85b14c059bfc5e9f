// What can be done to one replica: kill, stop, start, pause; and its faults (docs/faults.md).
import { useState } from "../../vendor/preact-hooks.js";
import { html } from "../html.js";
import { Part, Problem, useDoing, whyNot } from "./doing.js";

const ACTIONS = ["kill", "stop", "start", "pause", "resume"];

export function ReplicaActions({ node }) {
  const [act, busy, problem] = useDoing();
  const why = whyNot("replica");
  return html`<${Part} title="This replica" why=${why}>
    <div class="row wraps">${ACTIONS.map((action) => html`<button key=${action} disabled=${busy || why}
      onClick=${() => act("replica", { replica: node.id, action })}>${action[0].toUpperCase() + action.slice(1)}</button>`)}</div>
    <${Problem} text=${problem} />
    <${Faults} key=${node.id} node=${node} />
  <//>`;
}

const FIGURES = [
  ["delay", "Delay, seconds", 0, 600, "0.1"],
  ["error_rate", "Share of errors, 0 to 1", 0, 1, "0.05"],
  ["error_status", "Status of errors", 400, 599, "1"],
  ["slow_body", "Slow body, seconds", 0, 600, "0.1"],
  ["health_status", "Status of /healthz", 200, 599, "1"],
];
const SWITCHES = [["hang", "Hang"], ["crash", "Crash on the next request"]];
const NONE = { delay: 0, error_rate: 0, error_status: 503, slow_body: 0, health_status: 200, hang: false, crash: false };

function Faults({ node }) {
  const [faults, setFaults] = useState({ ...NONE, ...node.faults });
  const [act, busy, problem] = useDoing();
  const why = whyNot("faults");
  const set = (name, value) => setFaults({ ...faults, [name]: value });
  const apply = (event) => {
    event.preventDefault();
    act("faults", { replica: node.id, faults });
  };
  const none = () => {
    setFaults(NONE);
    act("faults", { replica: node.id, faults: {} });
  };
  return html`<form class="faults" onSubmit=${apply} aria-label="Faults of ${node.id}">
    <h4>Faults</h4>${why && html`<p class="why-not">${why}</p>`}
    ${FIGURES.map(([name, label, min, max, step]) => html`<label key=${name}><span>${label}</span>
      <input type="number" min=${min} max=${max} step=${step} value=${faults[name]} onInput=${(event) => set(name, Number(event.target.value))} /></label>`)}
    ${SWITCHES.map(([name, label]) => html`<label key=${name}><span>${label}</span>
      <input type="checkbox" checked=${faults[name]} onChange=${(event) => set(name, event.target.checked)} /></label>`)}
    <div class="row"><button class="main" disabled=${busy || why}>Apply</button>
      <button type="button" disabled=${busy || why} onClick=${none}>No faults</button></div>
    <${Problem} text=${problem} />
  </form>`;
}

// In the lab: choose a replica, and act on it without selecting it in the picture.
export function Replicas({ replicas }) {
  const [chosen, setChosen] = useState("");
  const node = replicas.find((each) => each.id === chosen);
  return html`<section class="lab-part"><h3>Break a replica</h3>
    <select aria-label="Replica" value=${node ? chosen : ""} onChange=${(event) => setChosen(event.target.value)}>
      <option value="">Choose one …</option>
      ${replicas.map((each) => html`<option key=${each.id} value=${each.id} selected=${each.id === chosen}>${each.id}</option>`)}
    </select>
    ${node && html`<${ReplicaActions} key=${node.id} node=${node} />`}
  </section>`;
}
