// The user's own second factor: whether there is one, a new one with its QR code, proved or removed
// with a code.
//
// Invariants: the secret is in the page until it is left, and in no storage. People of an identity
// provider have their second factor there.

import { useSignal } from "@preact/signals";
import type { TargetedSubmitEvent } from "preact";
import { call, identity, proveCode, whoIsIt } from "./api.ts";
import { QrCode } from "./fleet/qr.tsx";
import { Refusal } from "./refusal.tsx";
import { t } from "./strings/sign_in.ts";

interface Made {
  Secret: string;
  Uri: string;
}

export function SecondFactorPage() {
  const made = useSignal<Made | null>(null);
  const said = useSignal("");
  const error = useSignal<unknown>(null);
  const who = identity.value;
  if (!who) return null;
  const attempt = async (text: string, act: () => Promise<void>): Promise<void> => {
    [error.value, said.value] = [null, ""];
    try {
      await act();
      said.value = text;
    } catch (caught) {
      error.value = caught;
    }
  };
  const own = { PrincipalName: who.name };
  const create = (): Promise<void> =>
    attempt("", async () => {
      made.value = await call<Made>("Towline.CreateSecondFactor", own);
    });
  const enable = (code: string): Promise<void> =>
    attempt(t("factorEnabled"), async () => {
      await call("Towline.EnableSecondFactor", { ...own, TokenCode: code });
      made.value = null;
      await whoIsIt();
    });
  const provesIt = (code: string): Promise<void> =>
    attempt(t("factorProved"), () => proveCode(code));
  const remove = (code: string): Promise<void> =>
    attempt(t("factorRemoved"), async () => {
      await call("Towline.DeleteSecondFactor", { ...own, TokenCode: code });
      await whoIsIt();
    });
  const isUser = who.arn.includes(":user/");
  return (
    <main class="admin" data-factor={who.hasCodes ? "enabled" : "none"} data-proved={who.proved}>
      <h1>{t("factor")}</h1>
      <p>{t(who.proved ? "factorIsProved" : "factorIsNotProved")}</p>
      {!isUser && <p>{t("factorAtProvider")}</p>}
      {isUser && <p>{t(who.hasCodes ? "factorThere" : "factorNone")}</p>}
      {isUser && !who.hasCodes && !made.value && (
        <p>
          <button type="button" onClick={() => void create()}>
            {t("factorCreate")}
          </button>
        </p>
      )}
      {made.value && (
        <section class="secret">
          <p>{t("factorScan")}</p>
          <QrCode text={made.value.Uri} label={t("factorQr")} />
          <p>
            {t("factorSecret")} <code>{made.value.Secret}</code>
          </p>
          <CodeForm label={t("factorEnable")} submit={enable} name="enable" />
        </section>
      )}
      {isUser && who.hasCodes && (
        <>
          <CodeForm label={t("factorProve")} submit={provesIt} name="prove" />
          <CodeForm label={t("factorRemove")} submit={remove} name="remove" />
        </>
      )}
      <p role="status">{said.value}</p>
      {error.value !== null && <Refusal error={error.value} />}
    </main>
  );
}

function CodeForm(props: { label: string; name: string; submit: (code: string) => Promise<void> }) {
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = event.currentTarget;
    const code = String(new FormData(form).get("code") ?? "").replace(/\s/g, "");
    void props.submit(code).then(() => form.reset());
  };
  return (
    <form class="tools" data-form={props.name} onSubmit={submit}>
      <label>
        {t("factorCode")}
        <input
          name="code"
          required
          inputMode="numeric"
          autocomplete="one-time-code"
          maxLength={8}
        />
      </label>
      <button type="submit">{props.label}</button>
    </form>
  );
}
