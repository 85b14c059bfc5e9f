// The lab: whatever changes something, with the picture answering beside it.
import { html } from "../html.js";
import { replicas } from "../store.js";
import { Examples } from "./examples.js";
import { Replicas } from "./replicas.js";
import { Runtime } from "./runtime.js";
import { Scale } from "./scale.js";
import { Send } from "./send.js";

export function Lab() {
  return html`<section class="lab card" aria-labelledby="lab-title">
    <header class="card-head"><h2 id="lab-title">Lab</h2></header>
    <div class="lab-parts"><${Send} /><${Scale} /><${Replicas} replicas=${replicas.value} /><${Runtime} /><${Examples} /></div>
  </section>`;
}
