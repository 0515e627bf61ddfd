// A link that signs in once, made on the server: `#/link/USER/SECRET`. Its page is link_page.tsx.
//
// Invariants: the secret leaves the address before anything is shown, and is in no storage.

import { signal } from "@preact/signals";
import { type Place, placeOf } from "./pages.ts";

export interface Link {
  user: string;
  secret: string;
}

/** The link that was opened and not used yet. */
export const link = signal<Link | null>(null);

/** Reads an address; a link is taken out of it, and out of the history. */
export function arrive(hash: string): Place {
  const place = placeOf(hash);
  const [user, secret] = place.rest;
  if (place.page !== "link") return place;
  history.replaceState(null, "", "#/");
  if (user && secret) link.value = { user, secret };
  return placeOf("");
}
