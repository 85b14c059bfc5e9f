// What is selected, in a panel: a node's or edge's figures, stats and YAML; a request's waterfall and explanation.
import { useEffect, useRef, useState } from "../vendor/preact-hooks.js";
import { get } from "./api.js";
import { Chart } from "./chart.js";
import { bytes, clock, faultWords, ms, rate } from "./figures.js";
import { edgeWord, nodeWord } from "./health.js";
import { Explanation } from "./explanation.js";
import { html } from "./html.js";
import { ReplicaActions } from "./lab/replicas.js";
import { statusKind } from "./requests.js";
import { edges, mesh, nodes, requests, selected, unselect } from "./store.js";
import { WaterfallInWords } from "./waterfall.js";

const STATS_SHOWN = 200;

export function Details() {
  const { kind, id } = selected.value;
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), [kind, id]);
  const Body = kind === "request" ? OneRequest : Part;
  return html`<section class="details card" aria-labelledby="details-title">
    <header class="card-head">
      <h2 id="details-title" tabindex="-1" ref=${heading}>${kind === "request" ? "Request" : id.replace(">", " → ")}</h2>
      <button onClick=${unselect} aria-label="Close the details (Escape)">Close</button>
    </header>
    <${Body} key=${id} id=${id} />
  </section>`;
}

// [answer, problem] of what is asked for, now and whenever `again` changes; what was known stays until the next answer.
function useAnswer(path, again) {
  const [state, setState] = useState([null, ""]);
  useEffect(() => {
    let wanted = true;
    get(path).then((found) => wanted && setState([found, ""]), (error) => wanted && setState(([known]) => [known, error.message]));
    return () => (wanted = false);
  }, [path, again]);
  return state;
}

function Part({ id }) {
  const node = nodes.value.find((each) => each.id === id);
  const edge = edges.value.find((each) => each.id === id);
  if (!node && !edge) return html`<p class="empty">It is no longer part of the mesh.</p>`;
  return html`<div class="details-body">
    <${State} node=${node} edge=${edge} />
    <${History} id=${id} />
    ${node?.kind === "replica" && html`<${ReplicaActions} node=${node} />`}
    <${Inside} id=${id} />
  </div>`;
}

function State({ node, edge }) {
  const faults = faultWords(node?.faults);
  const word = node ? nodeWord(node, edges.value, faults) : edgeWord(edge);
  const about = node ?? edge;
  return html`<dl class="facts">
    <div><dt>State</dt><dd>${word}${faults && ` (${faults})`}</dd></div>
    <div><dt>Requests/s</dt><dd>${rate(about.rps)}</dd></div>
    <div><dt>Errors/s</dt><dd>${rate(about.errors)}</dd></div>
    <div><dt>p50, p99</dt><dd>${ms(about.p50)}, ${ms(about.p99)} ms</dd></div>
    ${node ? html`<div class="whole"><dt>Listens on</dt><dd>${node.addresses?.join(", ") || "–"}</dd></div>`
      : html`<div class="whole"><dt>Cluster</dt><dd>${edge.cluster}, ${edge.active ?? 0} active</dd></div>`}
  </dl>`;
}

function History({ id }) {
  const every = Math.floor((mesh.value?.time ?? 0) / 2);
  const [history, problem] = useAnswer(`history?id=${encodeURIComponent(id)}`, every);
  if (problem && !history) return html`<p class="problem">${problem}</p>`;
  if (!history) return null;
  const asked = { name: "requests", colour: "first", values: history.rps };
  const errors = { name: "errors", colour: "bad", values: history.errors, dash: [4, 3] };
  const median = { name: "p50", colour: "first", values: history.p50 };
  const slow = { name: "p99", colour: "second", values: history.p99, dash: [6, 3] };
  return html`<${Chart} label="A second" unit="a second" times=${history.times} lines=${[asked, errors]} />
    <${Chart} label="Milliseconds" unit="ms" times=${history.times} lines=${[median, slow]} />`;
}

function Inside({ id }) {
  const every = Math.floor((mesh.value?.time ?? 0) / 5);
  const [part, problem] = useAnswer(`part?id=${encodeURIComponent(id)}`, every);
  if (problem && !part) return html`<p class="problem">${problem}</p>`;
  if (!part) return null;
  return html`<${Stats} stats=${part.stats} />
    ${part.yaml && html`<details class="yaml"><summary>Configuration <span class="place">${part.yaml.file}:${part.yaml.line}</span></summary>
      <pre tabindex="0">${part.yaml.text}</pre></details>`}`;
}

function Stats({ stats }) {
  const [words, setWords] = useState("");
  const found = stats.filter(([name]) => words.split(/\s+/).every((word) => name.includes(word)));
  return html`<details class="stats" open><summary>Stats <span class="quiet">${found.length} of ${stats.length}</span></summary>
    <input type="search" placeholder="upstream_rq retry" aria-label="Show only stats with these words" value=${words}
           onInput=${(event) => setWords(event.target.value)} />
    <div class="scroll" tabindex="0" role="region" aria-label="Stats"><table><tbody>
      ${found.slice(0, STATS_SHOWN).map(([name, value]) => html`<tr key=${name}><th scope="row">${name}</th><td class="figure">${value}</td></tr>`)}
    </tbody></table></div>
    ${found.length > STATS_SHOWN && html`<p class="quiet">The first ${STATS_SHOWN}; more words show fewer.</p>`}
  </details>`;
}

function OneRequest({ id }) {
  const known = requests.value.find((each) => each.key === id);
  const [kept] = useState(known);
  const request = known ?? kept;
  if (!request) return html`<p class="empty">This request is no longer known.</p>`;
  const { first, tiers } = request;
  return html`<div class="details-body">
    <p class="request-line"><span class="status ${statusKind(first.status)}">${first.status || "–"}</span> ${first.method} ${first.path}</p>
    <dl class="facts">
      <div><dt>At</dt><dd>${clock(first.time)}</dd></div>
      <div><dt>Flags</dt><dd>${first.flags}</dd></div>
      <div><dt>In, out</dt><dd>${bytes(first.bytes_in)}, ${bytes(first.bytes_out)}</dd></div>
      <div><dt>Protocol</dt><dd>${first.protocol}</dd></div>
      <div class="whole"><dt>Details</dt><dd>${first.details || "–"}</dd></div>
      <div class="whole"><dt>Way</dt><dd>${[first.virtual_host, first.route, first.cluster, first.upstream].filter(Boolean).join(" → ")}</dd></div>
    </dl>
    <${WaterfallInWords} tiers=${tiers} />
    <${Explained} id=${first.id} />
  </div>`;
}

function Explained({ id }) {
  const [answer, problem] = useAnswer(`requests/${encodeURIComponent(id)}`, 0);
  return html`<h3>Explanation</h3>
    ${problem ? html`<p class="problem">${problem}</p>` : answer ? html`<${Explanation} explanation=${answer.explanation} />` : html`<p class="quiet">…</p>`}`;
}
