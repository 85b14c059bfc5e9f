// The examples of examples/: each is the mesh with another configuration, and says what to watch.
import { useEffect, useState } from "../../vendor/preact-hooks.js";
import { get } from "../api.js";
import { html } from "../html.js";
import { mesh } from "../store.js";
import { Part, Problem, useDoing, whyNot } from "./doing.js";

export function Examples() {
  const [examples, setExamples] = useState([]);
  const [failed, setFailed] = useState("");
  const [act, busy, problem] = useDoing();
  const running = mesh.value?.example ?? null;
  useEffect(() => {
    get("examples").then(setExamples, (error) => setFailed(error.message));
  }, []);
  const why = whyNot("example");
  return html`<${Part} title="Examples" why=${why}>
    ${running && html`<button disabled=${busy || why} onClick=${() => act("example", { name: null })}>Back to the plain mesh</button>`}
    <ul class="examples">${examples.map((each) => html`<${Example} key=${each.name} example=${each} running=${each.name === running}
      disabled=${busy || why} start=${() => act("example", { name: each.name })} />`)}</ul>
    <${Problem} text=${problem || failed} />
  <//>`;
}

function Example({ example, running, disabled, start }) {
  return html`<li class=${running ? "running" : ""}><details open=${running}>
    <summary>${example.title}${running && html` <span class="tag">runs</span>`}</summary>
    <ul>${example.watch.map((sentence) => html`<li>${sentence}</li>`)}</ul>
    ${!running && html`<button disabled=${disabled} onClick=${start}>Start it</button>`}
  </details></li>`;
}
