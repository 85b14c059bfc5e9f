// An explanation of a request, as the proxy's own admin gives it (docs/explain.md), written as a guide.
import { html } from "./html.js";

const Place = ({ place }) => (place?.file ? html`<span class="place">${place.file}:${place.line ?? "?"}</span>` : null);

export function Explanation({ explanation }) {
  if (!explanation) return html`<p class="quiet">The proxy has no explanation for this request.</p>`;
  if (typeof explanation === "string") return html`<p>${explanation}</p>`;
  const why = explanation.why ?? explanation.answer?.why;
  return html`<div class="explanation">
    ${explanation.problem && html`<p>${explanation.problem}</p>`}
    ${why && html`<${Why} why=${why} />`}
    <ol class="steps">
      <${Listener} about=${explanation.listener} />
      <${VirtualHost} about=${explanation.virtual_host} />
      ${explanation.routes?.map((route) => html`<${Route} route=${route} />`)}
      ${explanation.filters?.map((filter) => html`<${Filter} filter=${filter} />`)}
      <${Action} action=${explanation.action} upstream=${explanation.upstream} />
      <${Answer} answer=${explanation.answer} />
    </ol>
  </div>`;
}

function Why({ why }) {
  return html`<div class="why">
    <p><strong>${why.word}</strong> ${why.text ?? why.what}</p>
    ${why.causes?.length && html`<p>Usual causes:</p><ol>${why.causes.map((cause) => html`<li>${cause}</li>`)}</ol>`}
    ${why.look && html`<p>Look at: ${[].concat(why.look).join(" ")}</p>`}
  </div>`;
}

function Step({ title, place, kind, children }) {
  return html`<li class=${kind}><div><strong>${title}</strong> <${Place} place=${place} /></div>${children}</li>`;
}

function Listener({ about }) {
  if (!about) return null;
  return html`<${Step} title=${`Listener ${about.name}`} place=${about.place}>${about.address}<//>`;
}

function VirtualHost({ about }) {
  if (!about) return null;
  const title = about.name ? `Virtual host ${about.name}` : "No virtual host";
  return html`<${Step} title=${title} place=${about.place}>${about.domain ? `its domain ${about.domain}` : about.why}<//>`;
}

function Route({ route }) {
  const title = `Route ${route.number}${route.name ? ` (${route.name})` : ""} ${route.matches ? "matches" : "does not match"}`;
  return html`<${Step} title=${title} place=${route.place} kind=${route.matches ? "taken" : "passed"}>
    ${route.match}${route.why_not && html`<div class="quiet">${route.why_not.text}</div>`}
  <//>`;
}

function Filter({ filter }) {
  const said = filter.says ?? [];
  return html`<${Step} title=${`Filter ${filter.name}`} place=${filter.place}>
    ${said.length ? said.map((each) => html`<div>${each.text} <${Place} place=${each.place} /></div>`) : filter.part}
  <//>`;
}

function Action({ action, upstream }) {
  if (!action) return null;
  const title = action.kind === "cluster" ? `To the cluster ${action.cluster}` : `Answered here: ${action.status ?? action.kind}`;
  return html`<${Step} title=${title} place=${action.place} kind="taken">
    ${(action.clusters ?? []).map((each) => html`<div>${each.cluster}: weight ${each.weight}${each.taken ? ", taken" : ""}</div>`)}
    ${upstream && html`<div>${upstream.host ? `host ${upstream.host}, by ${upstream.policy}` : upstream.why_none}</div>`}
  <//>`;
}

function Answer({ answer }) {
  if (!answer) return null;
  return html`<${Step} title=${`Answer ${answer.status ?? answer.reset}`}>${answer.details} ${answer.flags === "-" ? "" : answer.flags}<//>`;
}
