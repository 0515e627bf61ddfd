// A second factor, proved when a policy wants one that is fresh: by a one-time code, or by a new
// sign-in at the identity provider, which comes back to the same page.
//
// Invariants: what was refused is asked for once more, and only after a proof. A page that leaves
// for the provider asks for nothing again.

import { identity, proveCode, providers, provesBy } from "./api.ts";
import { ask, askText } from "./dialog.tsx";
import { t } from "./strings.ts";

async function prove(): Promise<boolean> {
  const who = identity.value;
  if (!who) return false;
  if (who.hasCodes) {
    const code = await askText(t("factorTitle"), t("factorCode"), t("factorProve"));
    if (code === null) return false;
    await proveCode(code.replace(/\s/g, ""));
    return true;
  }
  const role = /:assumed-role\/([^/]+)\//.exec(who.arn)?.[1];
  if (!role) return false;
  const { Providers = [] } = await providers();
  const choices = Providers.map((name) => ({ label: t("signInWith", { name }), value: name }));
  if (choices.length === 0) return false;
  const chosen = await ask(t("factorTitle"), t("factorAgain"), choices);
  if (chosen !== null) location.assign(freshSignIn(chosen, role, location.hash));
  return false;
}

/** The address of a sign-in at which the provider asks again, and which returns to this page. */
export function freshSignIn(provider: string, role: string, hash: string): string {
  const to = hash.replace(/^#/, "") || "/";
  const query = new URLSearchParams({ fresh: "true", role, to });
  return `/console/sign-in/${encodeURIComponent(provider)}?${query}`;
}

provesBy(prove);
