// What forms of devices and commands become, and what is kept of a command that is sent again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Command, EMPTY, draftOf, requestOf } from "../src/fleet/commands.ts";
import { below, cleanPath, pathFrom, spelled } from "../src/fleet/files/copy_messages.ts";
import { changeOf, editedTags } from "../src/fleet/tags.ts";

const SENT: Command = {
  CommandId: "c",
  DocumentName: "AWS-RunShellScript",
  InstanceIds: ["mi-1", "mi-2"],
  Parameters: { commands: ["rm -r *", "pwd"], workingDirectory: ["/srv/old"] },
  Status: "Failed",
  MaxConcurrency: "50",
  MaxErrors: "0",
  TargetCount: 2,
  CompletedCount: 2,
  ErrorCount: 1,
  DeliveryTimedOutCount: 0,
};

test("a command that is sent again runs in its folder, and sends its output where it did", () => {
  const again = requestOf(
    draftOf({ ...SENT, TimeoutSeconds: 60, OutputS3BucketName: "b", OutputS3KeyPrefix: "" }, null),
  ) as Record<string, unknown>;
  assert.deepEqual(again["Parameters"], {
    commands: ["rm -r *\npwd"],
    executionTimeout: ["3600"],
    workingDirectory: ["/srv/old"],
  });
  assert.deepEqual(
    [again["InstanceIds"], again["TimeoutSeconds"], again["OutputS3BucketName"]],
    [["mi-1", "mi-2"], 60, "b"],
  );
  assert.ok(!("OutputS3KeyPrefix" in again));
});

test("a command that is sent again has its document, and a foreign one all its parameters", () => {
  const sent = { ...SENT, DocumentName: "AWS-RunPowerShellScript" };
  const windows = requestOf(draftOf(sent, ["mi-2"]));
  assert.equal((windows as Command).DocumentName, "AWS-RunPowerShellScript");
  assert.deepEqual((windows as Command).InstanceIds, ["mi-2"]);
  const own = { ...SENT, DocumentName: "rotate", DocumentVersion: "3" };
  const again = requestOf(draftOf({ ...own, Parameters: { days: ["7"] } }, null)) as Command;
  assert.deepEqual(
    [again.DocumentName, again.DocumentVersion, again.Parameters],
    ["rotate", "3", { days: ["7"] }],
  );
});

test("a command that named its devices by a target is sent again to the same", () => {
  const { InstanceIds: _, ...rest } = SENT;
  const named = draftOf({ ...rest, Targets: [{ Key: "InstanceIds", Values: ["mi-9"] }] }, null);
  assert.deepEqual(named.ids, ["mi-9"]);
  const tagged = draftOf({ ...rest, Targets: [{ Key: "tag:site", Values: ["a", "b"] }] }, null);
  assert.equal(tagged.tags, "site=a, site=b");
});

test("a new command names no folder", () => {
  const sent = requestOf({ ...EMPTY, script: "pwd", ids: ["mi-1"] }) as Command;
  assert.deepEqual(sent.Parameters, { commands: ["pwd"], executionTimeout: ["3600"] });
});

test("a tag that nobody edited stays as it is, with = in its key and blanks at its end", () => {
  const before = [
    { Key: "a=b", Value: "c" },
    { Key: "note", Value: "x " },
    { Key: "site", Value: "seoul" },
  ];
  const text = before.map((tag) => `${tag.Key}=${tag.Value}`).join("\n");
  assert.deepEqual(changeOf(before, editedTags(text, before)), { removed: [], set: [] });
  const edited = editedTags(text.replace("seoul", "busan"), before);
  assert.deepEqual(changeOf(before, edited), {
    removed: [],
    set: [{ Key: "site", Value: "busan" }],
  });
});

test("a path that is typed has no blanks at its ends, a path of the device keeps them", () => {
  assert.equal(pathFrom(" /srv/a/ "), "/srv/a");
  assert.equal(pathFrom("~/a"), "a");
  assert.equal(pathFrom(" "), ".");
  assert.equal(cleanPath("/srv/a /"), "/srv/a ");
  assert.equal(cleanPath("./ a"), " a");
  assert.equal(cleanPath("/"), "/");
});

test("each name in a folder has an address that leads to it, whatever it begins with", () => {
  for (const folder of [".", "a", "~", "~/~", "/", "/srv"]) {
    for (const name of ["a", "~", "~ann", " b ", "-"]) {
      const spelt = spelled(below(folder, name));
      assert.match(spelt, /^(~\/|\/)/);
      assert.ok(spelt.endsWith(`/${name}`), spelt);
      // The address is read as what somebody typed.
      const path = cleanPath(spelt);
      assert.equal(spelled(path), spelt);
      const inFolder = folder === "." ? name : `${folder === "/" ? "" : folder}/${name}`;
      assert.equal(path, inFolder);
    }
  }
  assert.equal(spelled("."), "~");
  assert.equal(cleanPath("~"), ".");
});
