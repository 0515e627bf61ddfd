// What the pages compute without a browser: addresses, the rows in sight, signatures, texts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { askedFor, visible } from "../src/devices.ts";
import { addressOf, placeOf } from "../src/pages.ts";
import { sign } from "../src/sigv4.ts";
import { SHARED, t } from "../src/strings.ts";
import { ADMIN } from "../src/strings/admin.ts";
import { FLEET } from "../src/strings/fleet.ts";
import { LIVE } from "../src/strings/live.ts";
import { PLAYBACK } from "../src/strings/playback.ts";
import { SIGN_IN } from "../src/strings/sign_in.ts";
import { TERMINAL, t as ofTerminal } from "../src/strings/terminal.ts";

const PARTS = [SHARED, ADMIN, FLEET, LIVE, PLAYBACK, SIGN_IN, TERMINAL];
const TEXTS = PARTS.flatMap((part) => Object.entries<readonly [string, string]>(part));

test("a value that turns the direction of writing does not turn the sentence around it", () => {
  assert.equal(t("signedInAs", { name: "ann" }), "Signed in as ann");
  assert.equal(t("signedInAs", { name: "\u202eann" }), "Signed in as \u2068\u202eann\u2069");
});

test("a page says its own texts and those that pages share", () => {
  assert.equal(ofTerminal("pasteTitle", { lines: 3 }), "Paste 3 lines?");
  assert.equal(ofTerminal("cancel"), t("cancel"));
});

test("two pages never share the name of a text", () => {
  assert.equal(new Set(TEXTS.map(([name]) => name)).size, TEXTS.length);
});

test("an address names a page, its parts and its query", () => {
  const place = placeOf("#/device/mi-1/a%2Fb?tag=site%3Dseoul");
  assert.deepEqual(
    [place.page, place.rest, place.query.get("tag")],
    ["device", ["mi-1", "a/b"], "site=seoul"],
  );
  assert.equal(
    addressOf("device", ["mi-1", "a/b"], { tag: "site=seoul" }),
    "#/device/mi-1/a%2Fb?tag=site%3Dseoul",
  );
  assert.equal(placeOf("#/%").page, "");
});

test("rows around those in sight are asked for, the same while somebody scrolls a little", () => {
  assert.deepEqual(askedFor({ from: 0, to: 0 }), { from: 0, to: 200 });
  assert.deepEqual(askedFor({ from: 0, to: 38 }), { from: 0, to: 200 });
  assert.deepEqual(askedFor({ from: 99_910, to: 99_940 }), { from: 99_800, to: 100_100 });
  assert.deepEqual(askedFor({ from: 99_920, to: 99_950 }), askedFor({ from: 99_910, to: 99_940 }));
  assert.deepEqual(askedFor({ from: 0, to: 9_000 }), { from: 0, to: 1000 });
});

test("of 5,000 rows only those in sight are in the page", () => {
  assert.deepEqual(visible(5000, 0, 440, 44), { from: 0, to: 18 });
  assert.deepEqual(visible(5000, 44_000, 440, 44), { from: 992, to: 1018 });
  assert.deepEqual(visible(3, 44_000, 440, 44), { from: 3, to: 3 });
});

test("a signature is the one that an independent implementation makes", async () => {
  const headers = await sign({
    host: "gw.example:8443",
    region: "xx-towline-1",
    service: "towline",
    target: "Towline.CreateSignIn",
    contentType: "application/x-amz-json-1.1",
    body: "{}",
    accessKey: "AKIAIOSFODNN7EXAMPLE",
    secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    invocation: "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
    now: new Date("2026-11-29T01:02:03.456Z"),
  });
  assert.equal(headers["X-Amz-Date"], "20261129T010203Z");
  const signed = "amz-sdk-invocation-id;content-type;host;x-amz-date;x-amz-target";
  const scope = "20261129/xx-towline-1/towline/aws4_request";
  // Made by botocore for the same request.
  const signature = "db574d1cf7ecb7809fd7f39afc88689e35d5919475654f881c95a884c178c57d";
  assert.equal(
    headers["Authorization"],
    `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/${scope}, ` +
      `SignedHeaders=${signed}, Signature=${signature}`,
  );
});

test("each text is there in both languages, with the same values to fill in", () => {
  const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [name, [english, korean]] of TEXTS) {
    assert.ok(english && korean, name);
    assert.deepEqual(holes(english), holes(korean), name);
  }
});
