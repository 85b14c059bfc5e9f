// The stream of requests: the newest first, with a filter, a pause, and each one's time in both tiers.
import { computed, signal } from "../vendor/signals.js";
import { clock, ms } from "./figures.js";
import { html } from "./html.js";
import { paused, requests, select, selected } from "./store.js";
import { Waterfall } from "./waterfall.js";

const SHOWN = 60;

const wanted = signal("");

// Every word must be found: `503 UF` are failed connections, `/service/2` a path, `service1-2` a host, `-200` all but 200.
export function matches(request, words) {
  const { status, method, path, authority, flags, details, route, cluster, upstream } = request.first;
  const proxies = request.tiers.map((tier) => tier.proxy);
  const text = [status, method, path, authority, flags, details, route, cluster, upstream, ...proxies].join(" ").toLowerCase();
  return words.every((word) => (word.startsWith("-") && word.length > 1 ? !text.includes(word.slice(1)) : text.includes(word)));
}

const shown = computed(() => {
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  return requests.value.filter((request) => matches(request, words)).slice(-SHOWN).reverse();
});

export function Requests() {
  return html`<section class="requests card" aria-labelledby="requests-title">
    <header class="card-head">
      <h2 id="requests-title">Requests</h2>
      <input type="search" placeholder="503, /service/1, UF, -200 …" aria-label="Show only requests with these words"
             value=${wanted.value} onInput=${(event) => (wanted.value = event.target.value)} />
      <button aria-pressed=${paused.value} onClick=${() => (paused.value = !paused.value)}>${paused.value ? "Go on" : "Pause"}</button>
    </header>
    ${shown.value.length ? html`<${List} />` : html`<p class="empty">${emptyWord()}</p>`}
  </section>`;
}

function emptyWord() {
  if (requests.value.length) return "No request of those seen has these words.";
  return "No requests yet. Send some from the lab.";
}

function List() {
  const longest = Math.max(...shown.value.map((request) => request.first.ms), 1);
  return html`<div class="scroll stream" tabindex="0" role="region" aria-labelledby="requests-title"><table>
    <thead><tr>
      <th scope="col">Time</th><th scope="col">Request</th><th scope="col" class="figure">Status</th><th scope="col">Flags</th>
      <th scope="col" class="spare">Route</th><th scope="col" class="spare">Host</th><th scope="col" class="figure">ms</th>
      <th scope="col" class="bars">Front, sidecar</th>
    </tr></thead>
    <tbody>${shown.value.map((request) => html`<${Row} key=${request.key} request=${request} longest=${longest} />`)}</tbody>
  </table></div>`;
}

export const statusKind = (status) => (status >= 500 || !status ? "bad" : status >= 400 ? "doubtful" : "good");

function Row({ request, longest }) {
  const { first } = request;
  const isSelected = selected.value?.kind === "request" && selected.value.id === request.key;
  const open = () => select("request", request.key);
  return html`<tr class=${isSelected ? "selected" : ""} onClick=${open}>
    <td class="quiet">${clock(first.time)}</td>
    <td class="path"><button class="link" onClick=${open}>${first.method} ${first.path}</button></td>
    <td class="figure"><span class="status ${statusKind(first.status)}">${first.status || "–"}</span></td>
    <td>${first.flags === "-" ? "" : html`<span class="flag">${first.flags}</span>`}</td>
    <td class="spare quiet">${first.route || first.cluster || "–"}</td>
    <td class="spare quiet">${first.upstream || "–"}</td>
    <td class="figure">${ms(first.ms)}</td>
    <td class="bars"><${Waterfall} tiers=${request.tiers} longest=${longest} small /></td>
  </tr>`;
}
