// The page of a link that signs in once: it names the user, and asks.
//
// Invariants: the secret is sent only after a click on the user's name. It is of use once.

import { useSignal } from "@preact/signals";
import { ApiError, redeem, words } from "./api.ts";
import { link } from "./sign_in_link.ts";
import { t } from "./strings/sign_in.ts";

export function LinkPage() {
  const { user, secret } = link.value ?? { user: "", secret: "" };
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
