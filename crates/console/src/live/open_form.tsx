// How a shell is opened: by which document, as which user of the device, and why. The choice stands
// in the address, so that a reload and a link mean the same.

import { addressOf } from "../pages.ts";
import { t } from "../strings/terminal.ts";

export interface Options {
  document: string;
  user: string;
  reason: string;
}

/** What an address asks for. */
export function optionsOf(query: URLSearchParams): Options {
  const text = (name: string): string => (query.get(name) ?? "").trim().slice(0, 256);
  return { document: text("document"), user: text("user"), reason: text("reason") };
}

/** The members of `StartSession` that say so. */
export function bodyOf({ document, user, reason }: Options): object {
  return {
    ...(document ? { DocumentName: document } : {}),
    ...(user ? { Parameters: { runAsUser: [user] } } : {}),
    ...(reason ? { Reason: reason } : {}),
  };
}

interface Shown {
  device: string;
  name: string;
  options: Options;
}

/** Asks how to open a shell on a device. */
export function OpenForm({ device, name, options }: Shown) {
  return (
    <form
      class="open-form"
      aria-label={t("openTitle", { name })}
      onSubmit={(event) => {
        event.preventDefault();
        const filled = [...new FormData(event.currentTarget).entries()]
          .map(([key, value]): [string, string] => [key, String(value).trim()])
          .filter(([, value]) => value !== "");
        // A new address each time: the same choice is tried again.
        const query = { ...Object.fromEntries(filled), at: String(Date.now()) };
        location.hash = addressOf("shell", [device, name], query);
      }}
    >
      <label>
        {t("openDocument")}
        <input name="document" maxLength={128} defaultValue={options.document} />
      </label>
      <label>
        {t("openUser")}
        <input name="user" maxLength={64} defaultValue={options.user} />
      </label>
      <label>
        {t("openReason")}
        <input name="reason" maxLength={256} defaultValue={options.reason} />
      </label>
      <button type="submit">{t("openNow")}</button>
    </form>
  );
}

/** `#/shell/DEVICE/NAME?ask=1` */
export function OpenPage(shown: Shown) {
  return (
    <main class="open-page">
      <h1>{t("openTitle", { name: shown.name })}</h1>
      <OpenForm {...shown} />
    </main>
  );
}
