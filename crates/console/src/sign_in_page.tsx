// The form that takes an access key, and links to identity providers. The secret is cleared from
// the form before the answer comes.

import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, notice, providers, signIn, words } from "./api.ts";
import { t } from "./strings.ts";

/** The providers that sign people in, and those that were stopped. */
const known = signal<Awaited<ReturnType<typeof providers>>>({});

/** Signs in at a provider, and comes back to the page that the address names. */
function Providers() {
  useEffect(() => {
    // Without an answer the form for access keys stays.
    providers().then(
      (names) => (known.value = names),
      () => undefined,
    );
  }, []);
  const { Providers: named = [], Disabled = [] } = known.value;
  const hints = Disabled.map((name) => <p key={name}>{t("providerStopped", { name })}</p>);
  if (named.length === 0) return <>{hints}</>;
  const to = encodeURIComponent(location.hash.slice(1) || "/");
  return (
    <>
      {hints}
      <ul class="providers">
        {named.map((name) => (
          <li key={name}>
            <a class="button" href={`/console/sign-in/${encodeURIComponent(name)}?to=${to}`}>
              {t("signInWith", { name })}
            </a>
          </li>
        ))}
      </ul>
      <h2>{t("orByKey")}</h2>
    </>
  );
}

export function SignInPage() {
  const trouble = useSignal("");
  const busy = useSignal(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const field = (name: string): string =>
      form.querySelector<HTMLInputElement>(`input[name="${name}"]`)?.value.trim() ?? "";
    const [key, secret, token] = [field("key"), field("secret"), field("token")];
    const secrets = form.querySelectorAll<HTMLInputElement>('input[type="password"]');
    busy.value = true;
    trouble.value = "";
    try {
      await signIn(key, secret, token);
    } catch (error) {
      trouble.value = said(error);
    } finally {
      secrets.forEach((field) => (field.value = ""));
      busy.value = false;
    }
  };
  return (
    <main class="sign-in">
      <h1>{t("title")}</h1>
      {notice.value && <p role="status">{notice.value}</p>}
      <Providers />
      <form onSubmit={(event) => void submit(event)}>
        <label>
          {t("accessKey")}
          <input name="key" autocomplete="username" spellcheck={false} required autofocus />
        </label>
        <label>
          {t("secretKey")}
          <input name="secret" type="password" autocomplete="current-password" required />
        </label>
        <details>
          <summary>{t("temporaryCredentials")}</summary>
          <label>
            {t("sessionToken")}
            <input name="token" type="password" autocomplete="off" />
          </label>
        </details>
        <p class="hint">{t("secretStays")}</p>
        <button type="submit" disabled={busy.value}>
          {busy.value ? t("signingIn") : t("signIn")}
        </button>
        <p role="alert" class="trouble">
          {trouble.value}
        </p>
      </form>
    </main>
  );
}

function said(error: unknown): string {
  if (error instanceof ApiError) {
    const refused = ["UnrecognizedClientException", "InvalidSignatureException"];
    if (refused.includes(error.code)) return t("keyRefused");
    if (error.code === "ThrottlingException") return t("throttled");
  }
  return words(error);
}
