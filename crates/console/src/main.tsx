// The console: who is signed in, which page the address names, and what ends with a sign-out.

import "@xterm/xterm/css/xterm.css";
import "./style.css";
import { effect, signal } from "@preact/signals";
import { render } from "preact";
import { identity, notice, signOut, whoIsIt, words } from "./api.ts";
import { DevicesPage } from "./devices_page.tsx";
import { devices } from "./devices.ts";
import { Dialog, ask } from "./dialog.tsx";
import { forget, forgetOthers } from "./saved.ts";
import { SignInPage } from "./sign_in_page.tsx";
import { language, switchLanguage, t } from "./strings.ts";
import { type Target, TerminalPage, current } from "./terminal_page.tsx";

const route = signal<Target | null>(read());
const startTrouble = signal("");

function read(): Target | null {
  const [page, one, two] = location.hash.replace(/^#\//, "").split("/");
  try {
    if (page === "shell" && one) return { device: one, name: decodeURIComponent(two ?? one) };
  } catch {
    return null;
  }
  return page === "terminal" && one ? { session: one } : null;
}

window.addEventListener("hashchange", () => {
  route.value = read();
});

/** Tabs of this browser tell each other of a sign-out. */
const tabs = new BroadcastChannel("towline");
tabs.onmessage = () => {
  current?.detach();
  forget();
  identity.value = null;
};

let before: string | undefined;
effect(() => {
  const who = identity.value;
  if (who === undefined) return;
  if (who === null) {
    if (!current || current.isOver) devices.value = null;
  } else if (before !== who.arn) {
    if (before !== undefined) {
      current?.detach();
      devices.value = null;
      location.hash = "#/";
    }
    before = who.arn;
    forgetOthers();
  }
});

async function leave(): Promise<void> {
  const session = current;
  if (session && !session.isOver) {
    const ends = await ask(t("signOut"), t("endShells"), [
      { label: t("endIt"), value: true },
      { label: t("leaveIt"), value: false },
    ]);
    if (ends === null) return;
    if (ends) await session.end().catch(() => undefined);
    else session.detach();
  }
  try {
    await signOut();
  } catch (error) {
    notice.value = words(error);
    return;
  }
  before = undefined;
  forget();
  tabs.postMessage("signed out");
  location.hash = "#/";
}

function App() {
  document.documentElement.lang = language.value === 1 ? "ko" : "en";
  const who = identity.value;
  const target = route.value;
  // A shell whose sign-in is over stays on the screen: it is returned to after the next sign-in.
  const keepsShell = who === null && target !== null && before !== undefined;
  return (
    <>
      <header>
        <a href="#/" class="home">
          {t("title")}
        </a>
        <span class="grows" />
        <button type="button" class="plain" onClick={switchLanguage}>
          {t("otherLanguage")}
        </button>
        {who && (
          <>
            <span class="who">{t("signedInAs", { name: who.name })}</span>
            <button type="button" onClick={() => void leave()}>
              {t("signOut")}
            </button>
          </>
        )}
      </header>
      {who && notice.value && (
        <p role="status" class="notice">
          {notice.value}{" "}
          <button
            type="button"
            onClick={() => {
              notice.value = "";
            }}
          >
            OK
          </button>
        </p>
      )}
      {who === undefined && <p class="empty">{startTrouble.value || t("loading")}</p>}
      {who === null && <SignInPage />}
      {who && !target && <DevicesPage />}
      {(who || keepsShell) && target && <TerminalPage target={target} />}
      <Dialog />
    </>
  );
}

function start(): void {
  whoIsIt().catch((error: unknown) => {
    startTrouble.value = words(error);
    setTimeout(start, 3000);
  });
}

const root = document.getElementById("app");
if (root) render(<App />, root);
start();
