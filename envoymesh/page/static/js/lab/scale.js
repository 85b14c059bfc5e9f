// Each service's number of replicas, with one button less and one more.
import { html } from "../html.js";
import { nodes } from "../store.js";
import { Part, Problem, useDoing, whyNot } from "./doing.js";

// Service -> how many replicas; a group counts all that it stands for.
export function counts(all) {
  const found = new Map();
  for (const node of all) {
    if (node.kind !== "replica" && node.kind !== "group") continue;
    found.set(node.service, (found.get(node.service) ?? 0) + (node.count ?? 1));
  }
  return [...found];
}

export function Scale() {
  const [act, busy, problem] = useDoing();
  const why = whyNot("scale");
  const to = (service, replicas) => () => act("scale", { service, replicas });
  return html`<${Part} title="Scale" why=${why}>
    ${counts(nodes.value).map(([service, count]) => html`<div class="row spread" key=${service}>
      <span>${service}</span>
      <span class="stepper">
        <button aria-label="One replica less of ${service}" disabled=${busy || why || count <= 0} onClick=${to(service, count - 1)}>−</button>
        <output aria-label="Replicas of ${service}">${count}</output>
        <button aria-label="One replica more of ${service}" disabled=${busy || why} onClick=${to(service, count + 1)}>+</button>
      </span>
    </div>`)}
    <${Problem} text=${problem} />
  <//>`;
}
