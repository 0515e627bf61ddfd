// ttyd (https://github.com/tsl0922/ttyd), where somebody has built it: `TOWLINE_TTYD` names the program.
// It draws as the other pages do, by the DOM: without a graphics card its own ways are slower.
"use strict";

const { spawn } = require("child_process");

const WORDS = [
  ["--interface", "127.0.0.1", "--port", "0", "--writable"],
  ["-t", "rendererType=dom", "-t", "disableLeaveAlert=true", "-t", "disableResizeOverlay=true"],
  ["bash", "--norc", "--noprofile"],
].flat();
const PATIENCE_MS = 20_000;

/** Starts it; gives its address, or null where there is none. */
function serveTtyd() {
  const program = process.env.TOWLINE_TTYD;
  if (!program) return null;
  const server = spawn(program, WORDS, { stdio: ["ignore", "ignore", "pipe"] });
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${program} tells no port: ${said}`)), PATIENCE_MS);
    let said = "";
    server.on("error", reject);
    server.stderr.on("data", (part) => {
      said += part;
      const [, port] = said.match(/Listening on port: (\d+)/) ?? [];
      if (!port) return;
      clearTimeout(late);
      resolve({ url: `http://127.0.0.1:${port}/`, close: () => server.kill() });
    });
  });
}

module.exports = { serveTtyd };
