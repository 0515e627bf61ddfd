// Files and folders that were dropped on the page.

interface Folder {
  createReader(): { readEntries(done: (some: Item[]) => void, failed: (e: Error) => void): void };
}

interface OneFile {
  file(done: (file: File) => void, failed: (error: Error) => void): void;
}

type Item = { name: string; isFile: boolean; isDirectory: boolean } & Folder & OneFile;

/** All files, with the folders that they are in; at most one more than `most`. */
export async function filesOf(
  dropped: DataTransfer,
  most: number,
): Promise<{ file: File; in: string[] }[]> {
  // The items are gone after the event: they are asked for before anything is awaited.
  const roots = Array.from(dropped.items).flatMap((item) => {
    const entry = item.webkitGetAsEntry() as unknown as Item | null;
    return entry ? [entry] : [];
  });
  if (roots.length === 0) return Array.from(dropped.files, (file) => ({ file, in: [] }));
  const found: { file: File; in: string[] }[] = [];
  const todo = roots.reverse().map((item) => ({ item, in: [] as string[] }));
  for (let next = todo.pop(); next && found.length <= most; next = todo.pop()) {
    const { item, in: folders } = next;
    if (item.isFile) {
      const file = await new Promise<File>((done, failed) => item.file(done, failed));
      found.push({ file, in: folders });
    } else if (item.isDirectory) {
      const inside = [...folders, item.name];
      todo.push(...(await entriesOf(item)).map((entry) => ({ item: entry, in: inside })));
    }
  }
  return found;
}

/** A reader gives some entries at a time, and none at the end. */
async function entriesOf(folder: Folder): Promise<Item[]> {
  const reader = folder.createReader();
  const all: Item[] = [];
  for (;;) {
    const some = await new Promise<Item[]>((done, failed) => reader.readEntries(done, failed));
    if (some.length === 0) return all;
    all.push(...some);
  }
}
