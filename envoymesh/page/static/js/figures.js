// How figures are written: short, of steady width, and with a dash where nothing is known.

const NOT_KNOWN = "–";

export function rate(value) {
  if (value === null || value === undefined) return NOT_KNOWN;
  if (value > 0 && value < 0.05) return "<0.1";
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

export function ms(value) {
  if (value === null || value === undefined) return NOT_KNOWN;
  if (value >= 10000) return `${(value / 1000).toFixed(0)} s`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

export function bytes(value) {
  return value >= 10000 ? `${(value / 1000).toFixed(0)} kB` : `${value ?? 0} B`;
}

// A replica's faults as words: `delay 2, error_rate 0.5`. Defaults that hold by themselves are not faults.
const HARMLESS = { delay: 0, error_rate: 0, error_status: 503, slow_body: 0, hang: false, crash: false, health_status: 200 };

export function faultWords(faults) {
  const set = Object.entries(faults ?? {}).filter(([name, value]) => value !== HARMLESS[name]);
  return set.map(([name, value]) => (value === true ? name : `${name.replace("_", " ")} ${value}`)).join(", ");
}
