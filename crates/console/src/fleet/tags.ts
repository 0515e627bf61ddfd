// Tags as a person writes them: `key=value`, one a line or behind commas.

export interface Tag {
  Key: string;
  Value: string;
}

/** Tags of a text; a part without `=` is a key with an empty value. */
export function tagsFrom(text: string): Tag[] {
  return text
    .split(/[\n,]/)
    .map((part) => part.trim())
    .filter(Boolean)
    .map((part) => {
      const [key = "", value = ""] = part.split(/=(.*)/s);
      return { Key: key.trim(), Value: value.trim() };
    });
}

/** Tags of a text; a line that says one of `before` is that one, whatever its `=` and blanks. */
export function editedTags(text: string, before: Tag[]): Tag[] {
  const said = new Map(before.map((tag) => [`${tag.Key}=${tag.Value}`.trim(), tag]));
  return text.split("\n").flatMap((line) => said.get(line.trim()) ?? tagsFrom(line));
}

/** What changes `before` into `after`: keys that go, tags that are set. */
export function changeOf(before: Tag[], after: Tag[]): { removed: string[]; set: Tag[] } {
  const fold = (key: string): string => key.toLowerCase();
  const kept = new Set(after.map((tag) => fold(tag.Key)));
  const removed = before.map((tag) => tag.Key).filter((key) => !kept.has(fold(key)));
  const set = after.filter(
    (tag) => !before.some((old) => old.Key === tag.Key && old.Value === tag.Value),
  );
  return { removed, set };
}
