// The page's frame: header, picture or table, requests, and at the side the lab or what is selected.
import { render } from "../vendor/preact.js";
import { signal } from "../vendor/signals.js";
import { takeToken } from "./api.js";
import { Details } from "./details.js";
import { clock, ms, rate } from "./figures.js";
import { html } from "./html.js";
import { Lab } from "./lab/lab.js";
import { Picture } from "./picture.js";
import { Requests } from "./requests.js";
import { away, listen, mesh, notices, selected, unselect } from "./store.js";
import { Table } from "./table.js";
import { startTheme, switchTheme, theme } from "./theme.js";

const NOTICES_SHOWN = 4;

const asTable = signal(false);

function Page() {
  return html`<a class="skip" href="#mesh">To the mesh</a>
    <${Top} />
    ${away.value && html`<p class="away" role="alert">${away.value}</p>`}
    <main>
      <div class="seen"><${Mesh} /><${Requests} /></div>
      <aside>${selected.value && html`<${Details} />`}<${Lab} /></aside>
    </main>`;
}

function Top() {
  const totals = mesh.value?.totals;
  return html`<header class="top">
    <h1><img src="/static/icon.svg" alt="" width="22" height="22" />envoymesh
      <span class="where">${mesh.value?.example ?? mesh.value?.runtime ?? ""}</span></h1>
    <dl class="totals">
      <${Total} name="requests/s" value=${rate(totals?.rps)} />
      <${Total} name="errors/s" value=${rate(totals?.errors)} bad=${totals?.errors > 0} />
      <${Total} name="p50 ms" value=${ms(totals?.p50)} />
      <${Total} name="p99 ms" value=${ms(totals?.p99)} />
      <${Total} name="replicas" value=${totals?.replicas ?? "–"} />
    </dl>
    <button class="theme" onClick=${switchTheme}>${theme.value === "dark" ? "Light" : "Dark"}</button>
  </header>`;
}

const Total = ({ name, value, bad }) => html`<div class=${bad ? "bad" : ""}><dt>${name}</dt><dd>${value}</dd></div>`;

function Mesh() {
  const view = (table, word) => html`<button aria-pressed=${asTable.value === table} onClick=${() => (asTable.value = table)}>${word}</button>`;
  return html`<section class="card mesh" id="mesh" tabindex="-1" aria-labelledby="mesh-title">
    <header class="card-head">
      <h2 id="mesh-title">Mesh</h2>
      ${!asTable.value && html`<p class="legend">on each edge: requests, errors, p50, p99 of the last minute</p>`}
      <div class="views" role="group" aria-label="How the mesh is shown">${view(false, "Picture")}${view(true, "Table")}</div>
    </header>
    ${!mesh.value && html`<p class="empty">Waiting for the mesh …</p>`}
    ${!asTable.value && html`<${Picture} />`}
    <${Table} shown=${asTable.value} />
    <${Notices} />
  </section>`;
}

function Notices() {
  return html`<ol class="notices" aria-live="polite" aria-label="What happened">
    ${notices.value.slice(-NOTICES_SHOWN).map((each) => html`<li key=${`${each.time} ${each.text}`}><time>${clock(each.time)}</time> ${each.text}</li>`)}
  </ol>`;
}

takeToken();
startTheme();
listen();
addEventListener("keydown", (event) => event.key === "Escape" && selected.value && unselect());
const page = document.getElementById("page");
page.replaceChildren();
render(html`<${Page} />`, page);
