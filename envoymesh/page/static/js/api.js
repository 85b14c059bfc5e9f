// The server's API. Whatever changes something carries the token of the printed address; reading needs none.

const KEPT = "envoymesh-token";

// The token comes behind the # of the address, which browsers send nowhere. It is kept for this tab alone.
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found) return;
  sessionStorage.setItem(KEPT, found);
  history.replaceState(null, "", location.pathname);
}

export const hasToken = () => Boolean(sessionStorage.getItem(KEPT));

// An answer's JSON, or an Error whose message is a sentence to show.
async function answer(path, options) {
  let response;
  try {
    response = await fetch(`/api/${path}`, options);
  } catch {
    throw new Error("The page's server does not answer.");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `The server answered ${response.status}.`);
  return body;
}

export const get = (path) => answer(path);

export const post = (path, body) =>
  answer(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-envoymesh-token": sessionStorage.getItem(KEPT) || "" },
    body: JSON.stringify(body),
  });
