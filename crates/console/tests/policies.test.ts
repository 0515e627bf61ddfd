import assert from "node:assert/strict";
import { test } from "node:test";
import { contextOf } from "../src/admin/policies_page.tsx";
import { lineOf, placeIn } from "../src/admin/policy_place.ts";

const TEXT = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "a \\"quoted\\" }] name", "Effect": "Allow", "Action": "ssm:*", "Resource": "*"},
    {"Effect": "Allow", "Action": ["ssm:A", "nothing"], "Resource": "*",
     "Condition": {"StringLike": {"aws:SourceIp": "x"}}}
  ]
}`;

const found = (message: string): string => {
  const place = placeIn(TEXT, message);
  assert.notEqual(place, null, message);
  return TEXT.slice(place ?? 0, (place ?? 0) + 9);
};

test("a message of the checker points to the value that it names", () => {
  assert.equal(found("$.Version: the version must be"), '"2012-10-');
  assert.equal(found("$.Statement[1].Action[1]: an action must be"), '"nothing"');
  assert.equal(found("$.Statement[0].Action[0]: an action"), '"ssm:*", ');
  assert.equal(found('$.Statement[1].Condition.StringLike["aws:SourceIp"]: no'), '"x"}}}\n  ');
});

test("a member that is missing points to the object that should have it", () => {
  assert.equal(found("$.Statement[1].Principal: must not be there"), '{"Effect"');
});

test("line and column of a text that is no JSON are taken from the message", () => {
  const place = placeIn(TEXT, "$: not JSON: expected value at line 3 column 4");
  assert.deepEqual(lineOf(TEXT, place ?? 0), { line: 3, column: 4 });
  assert.equal(placeIn(TEXT, "the gateway does not answer"), null);
});

test("condition keys of a question may have several values", () => {
  assert.deepEqual(contextOf("aws:SourceIp=192.0.2.1, k = a , k=b,, nothing"), {
    "aws:SourceIp": ["192.0.2.1"],
    k: ["a", "b"],
  });
});
