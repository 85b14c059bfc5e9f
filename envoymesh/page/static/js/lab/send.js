// Requests to the front: one, ten a second until stopped, or a hundred at once.
import { useState } from "../../vendor/preact-hooks.js";
import { ms } from "../figures.js";
import { html } from "../html.js";
import { Part, Problem, useDoing, whyNot } from "./doing.js";

const METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD"];
const RATE = 10;
const BURST = 100;

// `name: value`, one a line.
export function headersOf(text) {
  const pairs = text.split("\n").map((line) => line.split(/:(.*)/s)).filter(([name]) => name.trim());
  return Object.fromEntries(pairs.map(([name, value]) => [name.trim(), (value ?? "").trim()]));
}

export function Send() {
  const [method, setMethod] = useState("GET");
  const [path, setPath] = useState("/service/1");
  const [headers, setHeaders] = useState("");
  const [running, setRunning] = useState(false);
  const [answer, setAnswer] = useState(null);
  const [act, busy, problem] = useDoing();
  const why = whyNot();
  const send = async (how) => {
    const asked = { method, path, headers: headersOf(headers), body: "", scheme: "http", how, rate: RATE, count: BURST };
    const found = await act("send", asked);
    if (!found) return;
    if (how === "once") setAnswer(found);
    if (how === "rate" || how === "stop") setRunning(how === "rate");
  };
  const plain = (event) => { event.preventDefault(); send("once"); };
  return html`<${Part} title="Send requests" why=${why}>
    <form onSubmit=${plain}>
      <div class="row">
        <select aria-label="Method" value=${method} onChange=${(event) => setMethod(event.target.value)}>
          ${METHODS.map((each) => html`<option selected=${each === method}>${each}</option>`)}
        </select>
        <input class="grows" aria-label="Path" value=${path} onInput=${(event) => setPath(event.target.value)} />
      </div>
      <details><summary>Headers</summary>
        <textarea rows="2" aria-label="Headers, one a line" placeholder="x-user: ada" value=${headers}
                  onInput=${(event) => setHeaders(event.target.value)}></textarea>
      </details>
      <div class="row wraps">
        <button class="main" disabled=${busy || why}>Once</button>
        ${running
          ? html`<button type="button" onClick=${() => send("stop")}>Stop</button>`
          : html`<button type="button" disabled=${busy || why} onClick=${() => send("rate")}>${RATE} a second</button>`}
        <button type="button" disabled=${busy || why} onClick=${() => send("burst")}>Burst of ${BURST}</button>
      </div>
    </form>
    <${Problem} text=${problem} />
    ${answer && html`<${Answer} answer=${answer} />`}
  <//>`;
}

function Answer({ answer }) {
  return html`<div class="answer" role="status"><strong>${answer.status}</strong> in ${ms(answer.ms)} ms<pre>${answer.body}</pre></div>`;
}
