// The same as the picture, as a table. While the picture is shown, it is there for screen readers alone.
import { faultWords, ms, rate } from "./figures.js";
import { edgeWord, nodeWord } from "./health.js";
import { html } from "./html.js";
import { edges, nodes, select } from "./store.js";

export function Table({ shown }) {
  return html`<div class=${shown ? "scroll" : "unseen"}>
    <table class="mesh-table">
      <caption class="unseen">The mesh: every proxy and replica, and who calls it</caption>
      <thead>
        <tr>
          <th scope="col">Name</th><th scope="col">State</th><th scope="col">Called by</th>
          <th scope="col" class="figure">Requests/s</th><th scope="col" class="figure">Errors/s</th>
          <th scope="col" class="figure">p50 ms</th><th scope="col" class="figure">p99 ms</th>
        </tr>
      </thead>
      <tbody>${nodes.value.map((node) => html`<${Row} key=${node.id} node=${node} shown=${shown} />`)}</tbody>
    </table>
  </div>`;
}

function Row({ node, shown }) {
  const faults = faultWords(node.faults);
  const word = nodeWord(node, edges.value, faults);
  const callers = edges.value.filter((edge) => edge.to === node.id);
  const by = callers.map((edge) => (edgeWord(edge) === "healthy" ? edge.from : `${edge.from} (${edgeWord(edge)})`));
  return html`<tr>
    <th scope="row">${shown ? html`<button class="link" onClick=${() => select("node", node.id)}>${node.id}</button>` : node.id}</th>
    <td>${faults ? `${word} (${faults})` : word}</td>
    <td>${by.join(", ") || "–"}</td>
    <td class="figure">${rate(node.rps)}</td><td class="figure">${rate(node.errors)}</td>
    <td class="figure">${ms(node.p50)}</td><td class="figure">${ms(node.p99)}</td>
  </tr>`;
}
