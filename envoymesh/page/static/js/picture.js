// The mesh as a picture: nodes by tier, and on each edge its figures of the last minute.
import { useEffect, useRef, useState } from "../vendor/preact-hooks.js";
import { faultWords, ms, rate } from "./figures.js";
import { edgeWord, nodeWord, shapeOf } from "./health.js";
import { html } from "./html.js";
import { placed, SIZES } from "./layout.js";
import { edges, nodes, select, selected } from "./store.js";

const NARROW = 640; // CSS pixels of the picture's own width
const COLUMNS = [46, 86, 124, 184]; // right ends of an edge's figures, from its label's left side

function useWidth() {
  const box = useRef(null);
  const [width, setWidth] = useState(1000);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

export function Picture() {
  const [box, width] = useWidth();
  const narrow = width < NARROW;
  const where = nodes.value.length > 0 && placed(nodes.value, edges.value, narrow);
  const most = Math.max(1, ...edges.value.map((edge) => edge.rps ?? 0));
  return html`<div class="picture" ref=${box}>
    ${where && html`<svg viewBox="0 0 ${where.width} ${where.height}" width=${where.width} height=${where.height}
         role="group" aria-label="Picture of the mesh. The same is in the table.">
      ${edges.value.map((edge) => {
        const place = where.edges.get(edge.id);
        return place && html`<${Edge} key=${edge.id} edge=${edge} place=${place} narrow=${narrow} most=${most} />`;
      })}
      ${nodes.value.map((node) => {
        return html`<${Node} key=${node.id} node=${node} place=${where.nodes.get(node.id)} narrow=${narrow} />`;
      })}
    </svg>`}
  </div>`;
}

// What a key or a click does on a shape that acts as a button.
function button(kind, id, label) {
  const isSelected = selected.value?.kind === kind && selected.value.id === id;
  const open = () => select(kind, id);
  const key = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open();
  };
  return { role: "button", tabindex: 0, "aria-label": label, "aria-pressed": isSelected, "data-id": id, onClick: open, onKeyDown: key };
}

function thickness(value, most) {
  if (!value) return 1;
  return 1.5 + 2.5 * Math.sqrt(value / most);
}

function speed(value) {
  if (!value) return "still";
  return value < 2 ? "slow" : value < 30 ? "steady" : "fast";
}

function Edge({ edge, place, narrow, most }) {
  const word = edgeWord(edge);
  const label = `${edge.from} to ${edge.to}: ${word}, ${rate(edge.rps)} requests a second, ${rate(edge.errors)} errors a second, `
    + `p50 ${ms(edge.p50)} ms, p99 ${ms(edge.p99)} ms`;
  return html`<g class="edge ${word} ${edge.errors > 0 ? "failing" : ""}" ...${button("edge", edge.id, label)}>
    <path class="reach" d=${place.path} />
    <path class="line" d=${place.path} stroke-width=${thickness(edge.rps, most)} />
    <path class="flow ${speed(edge.rps)}" d=${place.path} />
    ${!narrow && html`<${EdgeFigures} edge=${edge} word=${word} place=${place} />`}
  </g>`;
}

function EdgeFigures({ edge, word, place }) {
  const left = place.x - SIZES.wide.label[0] / 2;
  if (word !== "healthy" && !edge.rps) {
    return html`<text class="word" x=${left + SIZES.wide.label[0] / 2} y=${place.y - 6}>${word}</text>`;
  }
  const cells = [`${rate(edge.rps)}/s`, edge.errors > 0 ? `${rate(edge.errors)} ✕` : "", ms(edge.p50), `${ms(edge.p99)} ms`];
  const kinds = ["rps", "errors", "p50", "p99"];
  return cells.map((text, index) => html`<text class=${kinds[index]} x=${left + COLUMNS[index]} y=${place.y - 6}>${text}</text>`);
}

function Node({ node, place, narrow }) {
  const faults = faultWords(node.faults);
  const word = nodeWord(node, edges.value, faults);
  const [width, height] = (narrow ? SIZES.narrow : SIZES.wide).node;
  const label = `${node.id}: ${word}${faults ? `, faults: ${faults}` : ""}, ${rate(node.rps)} requests a second`;
  return html`<g class="node ${node.kind} ${word} ${narrow ? "narrow" : ""}" transform="translate(${place.x - width / 2} ${place.y - height / 2})"
                 ...${button("node", node.id, label)}>
    <rect width=${width} height=${height} rx="8" />
    <path class="shape" d=${shapeOf(word)} transform="translate(${narrow ? 13 : 18} ${height / 2})" />
    <text class="name" x=${narrow ? 25 : 34} y=${height / 2 - 3}>${cut(name(node), narrow ? 11 : 17)}</text>
    <text class="more" x=${narrow ? 25 : 34} y=${height / 2 + 13}>${cut(under(node, word, faults, narrow), narrow ? 10 : 19)}</text>
  </g>`;
}

const name = (node) => (node.kind === "group" ? `${node.service} × ${node.count}` : node.id);

function under(node, word, faults, narrow) {
  if (faults && word === "faulty") return faults;
  if (word !== "healthy") return word;
  if (narrow || node.kind === "client") return `${rate(node.rps)}/s`;
  return node.addresses?.[0] ?? word;
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
