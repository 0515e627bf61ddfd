// Signature Version 4 of one request over `POST /`, by WebCrypto. The secret stays in this call.
//
// It is loaded with the first sign-in by a key, and imports nothing: its address changes with its
// content alone, so that a page of an older gateway still finds it.

const encoder = new TextEncoder();

export interface ToSign {
  host: string;
  region: string;
  service: string;
  target: string;
  contentType: string;
  body: string;
  accessKey: string;
  secret: string;
  /** Goes with temporary credentials. */
  sessionToken?: string;
  /** A value of its own: signatures count whole seconds, and the gateway takes a sign-in once. */
  invocation: string;
  now: Date;
}

/** The headers that a signed request has, besides `Host`. */
export async function sign(request: ToSign): Promise<Record<string, string>> {
  const at = `${request.now.toISOString().replace(/[-:]/g, "").slice(0, 15)}Z`;
  const day = at.slice(0, 8);
  const token = request.sessionToken;
  const signed = `amz-sdk-invocation-id;content-type;host;x-amz-date${token ? ";x-amz-security-token" : ""};x-amz-target`;
  const canonical = [
    "POST",
    "/",
    "",
    `amz-sdk-invocation-id:${request.invocation}`,
    `content-type:${request.contentType}`,
    `host:${request.host}`,
    `x-amz-date:${at}`,
    ...(token ? [`x-amz-security-token:${token}`] : []),
    `x-amz-target:${request.target}`,
    "",
    signed,
    hex(await crypto.subtle.digest("SHA-256", encoder.encode(request.body))),
  ].join("\n");
  const scope = `${day}/${request.region}/${request.service}/aws4_request`;
  const digest = hex(await crypto.subtle.digest("SHA-256", encoder.encode(canonical)));
  const text = ["AWS4-HMAC-SHA256", at, scope, digest].join("\n");
  let key: ArrayBuffer = encoder.encode(`AWS4${request.secret}`).buffer;
  for (const part of [day, request.region, request.service, "aws4_request"]) {
    key = await mac(key, part);
  }
  const signature = hex(await mac(key, text));
  return {
    "Content-Type": request.contentType,
    "Amz-Sdk-Invocation-Id": request.invocation,
    "X-Amz-Date": at,
    "X-Amz-Target": request.target,
    ...(token ? { "X-Amz-Security-Token": token } : {}),
    Authorization:
      `AWS4-HMAC-SHA256 Credential=${request.accessKey}/${scope}, ` +
      `SignedHeaders=${signed}, Signature=${signature}`,
  };
}

async function mac(key: ArrayBuffer, text: string): Promise<ArrayBuffer> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return crypto.subtle.sign("HMAC", imported, encoder.encode(text));
}

function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
