// What the page knows: the last snapshot, the last requests and notices, what is selected. Every list is bounded, so that
// a page that stays open for days grows no further.
import { computed, signal } from "../vendor/signals.js";

const MOST_REQUESTS = 300; // over all proxies; a request of two tiers is one of them
const MOST_NOTICES = 30;
const RETRY_MS = 2000;

export const mesh = signal(null);
export const requests = signal([]);
export const notices = signal([]);
export const away = signal(""); // a sentence while nothing comes, else empty
export const paused = signal(false);
export const selected = signal(null); // {kind: "node" | "edge" | "request", id}

export const nodes = computed(() => mesh.value?.nodes ?? []);
export const edges = computed(() => mesh.value?.edges ?? []);
export const replicas = computed(() => nodes.value.filter((node) => node.kind === "replica"));
export const proxies = computed(() => nodes.value.filter((node) => node.kind === "proxy"));

let opener = null; // what had the focus before something was selected

export function select(kind, id) {
  if (!selected.value) opener = document.activeElement;
  selected.value = { kind, id };
}

export function unselect() {
  selected.value = null;
  opener?.focus?.({ preventScroll: true });
  opener = null;
}

// Records of one request, which the proxies of both tiers wrote, become one: the first tier's, with the others in `tiers`.
export function joined(known, records, tierOf) {
  const byId = new Map(known.map((request) => [request.key, request]));
  for (const record of records) {
    const key = record.request_id || record.id;
    const before = byId.get(key);
    const tiers = before ? before.tiers.filter((each) => each.id !== record.id) : [];
    tiers.push(record);
    tiers.sort((one, other) => tierOf(one.proxy) - tierOf(other.proxy) || one.time - other.time);
    byId.set(key, { key, tiers, first: tiers[0] });
  }
  return [...byId.values()].slice(-MOST_REQUESTS);
}

function tierOf(proxy) {
  return nodes.value.find((node) => node.id === proxy)?.tier ?? 9;
}

function onMesh(snapshot) {
  mesh.value = snapshot;
  away.value = "";
}

function onRequests(records) {
  if (!paused.value) requests.value = joined(requests.value, records, tierOf);
}

export function addNotice(notice) {
  notices.value = [...notices.value, notice].slice(-MOST_NOTICES);
}

export const say = (text) => addNotice({ time: Date.now() / 1000, kind: "page", text });

// One stream for everything. Browsers reconnect by themselves, except after an answer that is no stream.
export function listen() {
  const source = new EventSource("/api/events");
  const on = (kind, handle) => source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
  on("mesh", onMesh);
  on("requests", onRequests);
  on("notice", addNotice);
  source.onerror = () => {
    away.value = "The mesh does not answer. The page tries again by itself; what you see is what was last known.";
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
  };
}
