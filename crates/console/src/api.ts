// The gateway's API as this page calls it: `POST /` with the cookie of the sign-in and its CSRF
// value.
//
// Invariants: the secret key and the CSRF value are in no storage. A request that the gateway takes
// for another user's is not repeated: the page shows who is signed in now.

import { signal } from "@preact/signals";
import { t } from "./strings.ts";

/** The content type of the API. */
const JSON_TYPE = "application/x-amz-json-1.1";

/** Who is signed in. */
export interface Identity {
  name: string;
  arn: string;
  csrf: string;
  /** The user has one-time codes. */
  hasCodes: boolean;
  /** A second factor was proved for this sign-in. */
  proved: boolean;
}

/** `undefined`: not asked yet; `null`: nobody. */
export const identity = signal<Identity | null | undefined>(undefined);
/** What the user must know about the sign-in. */
export const notice = signal<string>("");

/** An answer that is an error. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    /** What can be done about it, where the code does not say it. */
    readonly remedy = "",
  ) {
    super(message);
  }
}

interface ErrorAnswer {
  __type?: string;
  message?: string;
  Message?: string;
  TowlineRemedy?: string;
}

/** No answer came. */
export class NoAnswer extends Error {}

interface SignedIn {
  PrincipalName: string;
  Arn: string;
  CsrfToken: string;
  HasOneTimeCodes?: boolean;
  SecondFactorProved?: boolean;
}

/** Requests longer than this are given up. */
const PATIENCE_MS = 30_000;

/** Milliseconds by which the gateway's clock is ahead of this computer's, which may be wrong. */
let ahead = 0;

/** The time of the gateway, by its last answer. */
export function gatewayNow(): number {
  return Date.now() + ahead;
}

/** The header has whole seconds, and the answer was on its way. */
const HEADER_MS = 2_000;

/** Takes the time of an answer, unless this computer's own agrees with it. */
function setClock(told: number): void {
  if (Number.isNaN(told)) return;
  const past = Date.now() - told;
  ahead = past >= 0 && past < HEADER_MS ? 0 : 999 - past;
}

async function post(headers: Record<string, string>, body: string): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch("/", {
      method: "POST",
      headers,
      body,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    throw new NoAnswer(error instanceof Error ? error.message : String(error));
  }
  setClock(Date.parse(response.headers.get("Date") ?? ""));
  const text = await response.text().catch(() => "");
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new NoAnswer(`status ${response.status}`);
  }
  if (response.ok) return answer;
  const error = answer as ErrorAnswer;
  if (response.status >= 500) throw new NoAnswer(error.message ?? `status ${response.status}`);
  const code = (error.__type ?? "Unknown").replace(/^.*#/, "");
  throw new ApiError(code, error.message ?? error.Message ?? code, error.TowlineRemedy);
}

function take(answer: unknown): Identity {
  const signedIn = answer as SignedIn;
  return {
    name: signedIn.PrincipalName,
    arn: signedIn.Arn,
    csrf: signedIn.CsrfToken,
    hasCodes: signedIn.HasOneTimeCodes ?? false,
    proved: signedIn.SecondFactorProved ?? false,
  };
}

/** The time of the gateway: this computer's clock may be wrong. */
async function gatewayTime(): Promise<Date> {
  const response = await fetch("/console/", { method: "HEAD", cache: "no-store" });
  const told = Date.parse(response.headers.get("Date") ?? "");
  return Number.isNaN(told) ? new Date() : new Date(told);
}

/** Signs in with an access key, or with temporary credentials. */
export async function signIn(accessKey: string, secret: string, token: string): Promise<void> {
  const region =
    document.querySelector<HTMLMetaElement>('meta[name="towline-region"]')?.content ?? "";
  const needed = Promise.all([gatewayTime(), import("./sigv4.ts")]);
  const [now, { sign }] = await needed.catch((error: unknown) => {
    throw new NoAnswer(error instanceof Error ? error.message : String(error));
  });
  const headers = await sign({
    host: location.host,
    region,
    service: "towline",
    target: "Towline.CreateSignIn",
    contentType: JSON_TYPE,
    body: "{}",
    accessKey,
    secret,
    ...(token ? { sessionToken: token } : {}),
    invocation: crypto.randomUUID(),
    now,
  });
  identity.value = take(await post(headers, "{}"));
  notice.value = "";
}

/** Names of identity providers. */
interface Providers {
  /** Those that sign people in. */
  Providers?: string[];
  /** Those that were stopped. */
  Disabled?: string[];
}

export async function providers(): Promise<Providers> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const response = await fetch("/sign-in/providers", {
    cache: "no-store",
    redirect: "error",
    signal,
  });
  return response.ok ? ((await response.json()) as Providers) : {};
}

/** Signs in by a link that was made on the server. */
export async function redeem(user: string, secret: string): Promise<void> {
  const headers = { "Content-Type": JSON_TYPE, "X-Amz-Target": "Towline.RedeemSignInLink" };
  const body = JSON.stringify({ PrincipalName: user, Secret: secret });
  identity.value = take(await post(headers, body));
  notice.value = "";
}

/** Asks whose sign-in this browser has; nobody's when there is none. */
export async function whoIsIt(): Promise<void> {
  const headers = { "Content-Type": JSON_TYPE, "X-Amz-Target": "Towline.GetSignIn" };
  try {
    identity.value = take(await post(headers, "{}"));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    identity.value = null;
  }
}

/** Voids the sign-in of this browser. */
export async function signOut(): Promise<void> {
  await call("Towline.DeleteSignIn", {});
  identity.value = null;
}

/** Proves a one-time code for this sign-in; a wrong one is an error. */
export async function proveCode(code: string): Promise<void> {
  const body = JSON.stringify({ TokenCode: code });
  identity.value = take(await post(headersOf("Towline.ProveSecondFactor", false), body));
}

/** Whether a second factor that is proved now would help. */
export function wantsFactor(error: unknown): boolean {
  return error instanceof ApiError && error.remedy === "SecondFactor";
}

type Prove = () => Promise<boolean>;
let prove: Prove | null = null;

/** Names who asks the user for a second factor when a request wants it; true: it was proved. */
export function provesBy(ask: Prove): void {
  prove = ask;
}

let proving: Promise<boolean> | null = null;
/** How often a second factor was proved in this page. */
let proofs = 0;

/**
 * Has the user prove a second factor. True: it was proved; the page asks again for what it shows.
 * There is one question at a time: requests that want it meanwhile wait for its answer.
 */
export function proveNow(): Promise<boolean> {
  proving ??= Promise.resolve(prove?.() ?? false)
    .then((proved) => {
      if (proved) proofs += 1;
      return proved;
    })
    .finally(() => {
      proving = null;
    });
  return proving;
}

const GONE = [
  "ExpiredTokenException",
  "UnrecognizedClientException",
  "MissingAuthenticationTokenException",
];

/** Whether an error says that there is no sign-in any more. */
export function needsSignIn(error: unknown): boolean {
  return error instanceof ApiError && GONE.includes(error.code);
}

/**
 * Calls an operation. `background`: the page asks by itself, which does not keep the sign-in alive.
 */
export async function call<T>(target: string, body: object, background = false): Promise<T> {
  const before = identity.value;
  const provedBefore = proofs;
  try {
    return (await post(headersOf(target, background), JSON.stringify(body))) as T;
  } catch (error) {
    const isProved = (): boolean => proofs !== provedBefore;
    if (wantsFactor(error) && !background && (isProved() || (await proveNow()))) {
      return (await post(headersOf(target, background), JSON.stringify(body))) as T;
    }
    if (!needsSignIn(error)) throw error;
    await whoIsIt();
    const now = identity.value;
    if (!now) {
      if (before) notice.value = t("signInOver");
      throw error;
    }
    if (before?.arn !== now.arn) throw error; // another user's request is not repeated as this one's
    return (await post(headersOf(target, background), JSON.stringify(body))) as T;
  }
}

function headersOf(target: string, background: boolean): Record<string, string> {
  const headers: Record<string, string> = {
    "Content-Type": JSON_TYPE,
    "X-Amz-Target": target,
    "X-Towline-Csrf": identity.value?.csrf ?? "",
  };
  if (background) headers["X-Towline-Background"] = "1";
  return headers;
}

/** An error in words, for a person. */
export function words(error: unknown): string {
  if (error instanceof NoAnswer) return t("unreachable", { why: error.message });
  return error instanceof Error ? error.message : String(error);
}
