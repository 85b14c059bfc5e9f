// A request's time as bars, one line for each proxy it passed: when it came there, and what the time went into.
import { ms } from "./figures.js";
import { html } from "./html.js";

const PHASES = ["request", "connect", "upstream", "response"];
const MEANING = {
  request: "reading the request",
  connect: "connecting",
  upstream: "waiting for upstream",
  response: "writing the answer",
};

// Bars of one tier: [phase, begin, length] in milliseconds from the first tier's beginning.
export function bars(tier, first) {
  let at = Math.max(0, (tier.time - first.time) * 1000);
  const found = [];
  for (const phase of PHASES) {
    const length = tier.phases?.[phase];
    if (!length) continue;
    found.push([phase, at, length]);
    at += length;
  }
  return found.length ? found : [["upstream", at, tier.ms]];
}

export function Waterfall({ tiers, longest, small }) {
  const [width, line, thick] = small ? [120, 8, 6] : [360, 22, 12];
  const scale = width / longest;
  const label = tiers.map((tier) => `${tier.proxy} ${ms(tier.ms)} ms`).join(", ");
  return html`<svg class="waterfall" viewBox="0 0 ${width} ${tiers.length * line}" width=${width} height=${tiers.length * line}
                   role="img" aria-label=${label}>
    ${tiers.map((tier, row) => bars(tier, tiers[0]).map(([phase, at, length]) => html`<rect class="phase ${phase}"
      x=${Math.min(at * scale, width - 1)} y=${row * line + 1} width=${Math.max(1, Math.min(length * scale, width - at * scale))}
      height=${thick} rx="1.5" />`))}
  </svg>`;
}

// The whole: bars, and what each is in words and figures.
export function WaterfallInWords({ tiers }) {
  const longest = Math.max(1, ...tiers.map((tier) => (tier.time - tiers[0].time) * 1000 + tier.ms));
  return html`<div class="waterfall-whole">
    <${Waterfall} tiers=${tiers} longest=${longest} />
    <table>
      <thead><tr><th scope="col">Time in</th>${tiers.map((tier) => html`<th scope="col" class="figure">${tier.proxy}</th>`)}</tr></thead>
      <tbody>
        ${PHASES.map((phase) => html`<tr>
          <th scope="row"><span class="key ${phase}"></span>${MEANING[phase]}</th>
          ${tiers.map((tier) => html`<td class="figure">${ms(tier.phases?.[phase])}</td>`)}
        </tr>`)}
        <tr class="sum"><th scope="row">all, ms</th>${tiers.map((tier) => html`<td class="figure">${ms(tier.ms)}</td>`)}</tr>
      </tbody>
    </table>
  </div>`;
}
