// Dark or light: the system's choice until somebody uses the switch, which is remembered.
import { signal } from "../vendor/signals.js";

const KEPT = "envoymesh-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const theme = signal("light");

function apply() {
  theme.value = localStorage.getItem(KEPT) || (system.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme.value;
}

export function startTheme() {
  system.addEventListener("change", apply);
  apply();
}

export function switchTheme() {
  localStorage.setItem(KEPT, theme.value === "dark" ? "light" : "dark");
  apply();
}

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
