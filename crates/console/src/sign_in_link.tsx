// A link that signs in once, made on the server: `#/link/USER/SECRET`.
//
// Invariants: the secret leaves the address before anything is shown, is in no storage, and is sent
// only after a click on the user's name. It is of use once.

import { signal, useSignal } from "@preact/signals";
import { ApiError, redeem, words } from "./api.ts";
import { type Place, placeOf } from "./pages.ts";
import { t } from "./strings.ts";

interface Link {
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

export function LinkPage({ user, secret }: Link) {
  const trouble = useSignal("");
  const busy = useSignal(false);
  const spent = useSignal(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    busy.value = true;
    try {
      await redeem(user, secret);
      link.value = null;
    } catch (error) {
      trouble.value = words(error);
      if (error instanceof ApiError) spent.value = true;
    } finally {
      busy.value = false;
    }
  };
  return (
    <main class="sign-in">
      <h1>{t("linkTitle")}</h1>
      <p>{t("linkWarning", { host: location.host })}</p>
      <form onSubmit={(event) => void submit(event)}>
        <button type="submit" disabled={busy.value || spent.value} autofocus>
          {busy.value ? t("signingIn") : t("linkSignIn", { user })}
        </button>
        <button type="button" class="plain" onClick={() => (link.value = null)}>
          {spent.value ? t("linkOther") : t("cancel")}
        </button>
        <p role="alert" class="trouble">
          {trouble.value}
        </p>
      </form>
    </main>
  );
}
