import assert from "node:assert/strict";
import { test } from "node:test";
import { type Listed, csvOf, failureOf, jsonOf } from "../src/trail.ts";
import { refusedOf } from "../src/refusal.tsx";
import { ApiError } from "../src/api.ts";

const event = (more: Partial<Listed>): Listed => ({
  EventId: "1",
  EventName: "StartSession",
  EventTime: 0,
  EventSource: "ssm",
  CloudTrailEvent: '{"errorCode":"AccessDeniedException"}',
  ...more,
});

test("a cell that a spreadsheet would calculate is exported as text", () => {
  const csv = csvOf([event({ Username: '=HYPERLINK("x")' })]);
  assert.match(csv, /"'=HYPERLINK\(""x""\)"/);
  assert.match(csv, /^"1970-01-01T00:00:00.000Z","1","ssm","StartSession",/m);
  assert.match(csv, /"AccessDeniedException"\r\n$/);
});

test("an event that is no JSON is exported as its text", () => {
  const broken = event({ CloudTrailEvent: "{" });
  assert.equal(failureOf(broken), null);
  assert.deepEqual(JSON.parse(jsonOf([broken])), ["{"]);
});

test("a refusal names action, resource and device; another error is none", () => {
  const arn = "arn:aws:ssm:r:1:managed-instance/mi-0123456789abcdef0";
  const message = `User: a is not authorized to perform: ssm:StartSession on resource: ${arn} because x`;
  const refused = refusedOf(new ApiError("AccessDeniedException", message));
  const device = "mi-0123456789abcdef0";
  assert.deepEqual(refused, {
    action: "ssm:StartSession",
    resource: arn,
    why: "because x",
    device,
  });
  assert.equal(refusedOf(new ApiError("AccessDeniedException", "no")), null);
  assert.equal(refusedOf(new Error(message)), null);
});
