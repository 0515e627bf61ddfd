// How a shell is opened: by which document, as which user of the device, and why. The choice stands
// in the address, so that a reload and a link mean the same.

import { useAnswer } from "../answers.ts";
import { type Device, nameOf } from "../devices.ts";
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

interface Opened {
  device: string;
  options: Options;
  /** Somebody else may have written the address. */
  isLink: boolean;
}

/**
 * `#/shell/DEVICE/NAME?ask=1`, and without `ask` by a link. The name is the gateway's, not that of
 * the address.
 */
export function OpenPage({ device, options, isLink }: Opened) {
  const answer = useAnswer<{ InstanceInformationList: Device[] }>(
    "AmazonSSM.DescribeInstanceInformation",
    { Filters: [{ Key: "InstanceIds", Values: [device] }] },
  );
  const found = answer.value.value?.InstanceInformationList[0];
  const name = found ? nameOf(found) : device;
  return (
    <main class="open-page">
      <h1>{t("openTitle", { name })}</h1>
      <p class="hint">
        {device} {isLink && t("linkHint")}
      </p>
      <OpenForm device={device} name={name} options={options} />
    </main>
  );
}

/** `#/join/SESSION` by a link. */
export function JoinPage({ session }: { session: string }) {
  const join = (): void => {
    location.hash = addressOf("join", [session], { at: String(Date.now()) });
  };
  return (
    <main class="open-page">
      <h1>{t("joinTitle", { session })}</h1>
      <p class="hint">{t("linkHint")}</p>
      <button type="button" onClick={join}>
        {t("joinNow")}
      </button>
    </main>
  );
}
