// The form that takes an access key. The secret is cleared from the form before the answer comes.

import { useSignal } from "@preact/signals";
import { ApiError, notice, signIn, words } from "./api.ts";
import { t } from "./strings.ts";

export function SignInPage() {
  const trouble = useSignal("");
  const busy = useSignal(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const field = (name: string): string =>
      form.querySelector<HTMLInputElement>(`input[name="${name}"]`)?.value.trim() ?? "";
    const [key, secret] = [field("key"), field("secret")];
    const secretField = form.querySelector<HTMLInputElement>('input[name="secret"]');
    busy.value = true;
    trouble.value = "";
    try {
      await signIn(key, secret);
    } catch (error) {
      trouble.value = said(error);
    } finally {
      if (secretField) secretField.value = "";
      busy.value = false;
    }
  };
  return (
    <main class="sign-in">
      <h1>{t("title")}</h1>
      {notice.value && <p role="status">{notice.value}</p>}
      <form onSubmit={(event) => void submit(event)}>
        <label>
          {t("accessKey")}
          <input name="key" autocomplete="username" spellcheck={false} required autofocus />
        </label>
        <label>
          {t("secretKey")}
          <input name="secret" type="password" autocomplete="current-password" required />
        </label>
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
