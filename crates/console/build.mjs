// Builds the console: `node build.mjs` writes ./dist, `node build.mjs --tests` writes ./.tests,
// `node build.mjs --sizes` fails when what a page loads is larger than its bound, or differs from
// build to build.
//
// Names of assets hold the hash of their content, each asset is compressed with brotli, and a file
// that has not changed is not written again: the gateway is then not compiled again.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
/**
 * Bytes of scripts and styles, as they are sent, that the list of devices loads, and that it and
 * the terminal load together. The promises are 45,000 and 130,000; a bound only shrinks.
 */
const BOUNDS = { "src/main.tsx": 24_300, "src/terminal_page.tsx": 122_800 };

if (process.argv.includes("--tests")) {
  const names = readdirSync(join(root, "tests")).filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: names.map((name) => join(root, "tests", name)),
    outdir: join(root, ".tests"),
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node18",
  });
} else if (process.argv.includes("--sizes")) {
  const made = await page();
  const again = await page();
  const bytes = ({ outputFiles }) => outputFiles.map(({ path, hash }) => `${path} ${hash}`).join("\n");
  if (bytes(made) !== bytes(again)) {
    console.error("two builds of the page are not the same bytes");
    process.exitCode = 1;
  }
  for (const [last, bound] of Object.entries(BOUNDS)) {
    const size = sizeWith(made, last);
    console.log(`the first page, and ${last}: ${size} bytes of ${bound}`);
    if (size > bound) process.exitCode = 1;
  }
} else {
  const made = await page();
  // A script of its own: what a worker shares with the page would be loaded before it starts.
  const worker = await build({
    entryPoints: [join(root, "src/fleet/files/worker.ts")],
    bundle: true,
    minify: true,
    write: false,
    outdir: join(root, "dist"),
    entryNames: "worker-[hash]",
    format: "iife",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
  });
  const files = new Map();
  const names = { worker: basename(worker.outputFiles[0].path) };
  for (const file of [...made.outputFiles, ...worker.outputFiles]) {
    const name = basename(file.path);
    const [, kind] = name.match(/^app-.*\.(js|css)$/) ?? [];
    if (kind) names[kind] = name;
    files.set(`${name}.br`, brotli(file.contents));
  }
  const licences = Buffer.from(licencesOf(made.metafile));
  names.txt = `licences-${digest(licences)}.txt`;
  files.set(`${names.txt}.br`, brotli(licences));
  const frame = readFileSync(join(root, "src/index.html"), "utf8");
  const filled = frame.replace(/\{\{(js|css|txt|worker)\}\}/g, (_, kind) => names[kind]);
  files.set("index.html", filled);
  put(join(root, "dist"), files);
}

/** Scripts and styles of the page. */
function page() {
  return build({
    entryPoints: [join(root, "src/main.tsx")],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    absWorkingDir: root,
    outdir: join(root, "dist"),
    splitting: true,
    entryNames: "app-[hash]",
    chunkNames: "part-[hash]",
    format: "esm",
    target: "es2022",
    charset: "utf8",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
  });
}

/** Compressed bytes that are loaded for the first page, and for the one with this script. */
function sizeWith({ metafile, outputFiles }, last) {
  const parts = Object.entries(metafile.outputs);
  const needed = new Set(parts.map(([path]) => path).filter((path) => path.endsWith(".css")));
  const need = (path) => {
    if (needed.has(path)) return;
    needed.add(path);
    for (const { kind, path: other } of metafile.outputs[path].imports) {
      if (kind === "import-statement") need(other);
    }
  };
  for (const script of ["src/main.tsx", last]) {
    const [path] = parts.find(([, { entryPoint }]) => entryPoint === script);
    need(path);
  }
  const names = new Set([...needed].map((path) => basename(path)));
  return outputFiles
    .filter(({ path }) => names.has(basename(path)))
    .reduce((sum, { contents }) => sum + brotli(contents).length, 0);
}

/** The licences of all packages of which something is in the bundle. */
function licencesOf({ inputs }) {
  const packages = Object.keys(inputs)
    .map((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1])
    .filter(Boolean);
  const texts = Array.from(new Set(packages))
    .sort()
    .map((name) => `${name}\n\n${licenceOf(join(root, "node_modules", name))}`);
  return texts.join("\n----\n\n");
}

/** Some packages only name their licence. */
function licenceOf(folder) {
  const file = join(folder, "LICENSE");
  if (existsSync(file)) return readFileSync(file, "utf8");
  const { license, author, repository } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `${license}, ${author?.name ?? author ?? ""}, ${repository?.url ?? repository ?? ""}\n`;
}

function digest(bytes) {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 12);
}

function brotli(bytes) {
  return brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY },
  });
}

function put(folder, files) {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) {
    if (name !== ".gitignore" && !files.has(name)) rmSync(join(folder, name));
  }
  for (const [name, content] of files) {
    const path = join(folder, name);
    const bytes = Buffer.from(content);
    let before;
    try {
      before = readFileSync(path);
    } catch {
      before = undefined;
    }
    if (!before?.equals(bytes)) writeFileSync(path, bytes);
    console.log(`${name} ${bytes.length}`);
  }
}
