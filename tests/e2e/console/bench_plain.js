// The page that the console is compared with: xterm, a websocket and a terminal behind it, no more.
// Served on loopback without TLS.
"use strict";

const { spawn } = require("child_process");
const { readFileSync } = require("fs");
const http = require("http");
const { join } = require("path");
const { WebSocketServer } = require("ws");

const XTERM = join(__dirname, "../../../crates/console/node_modules/@xterm/xterm");
const PAGE = `<!doctype html><meta charset="utf-8"><title>plain</title>
<link rel="stylesheet" href="/xterm.css"><link rel="icon" href="data:,">
<div id="screen"></div><script src="/xterm.js"></script><script>
const term = new Terminal({ scrollback: 5000, rows: ROWS, cols: COLS });
term.open(document.getElementById("screen"));
const socket = new WebSocket("ws://" + location.host);
socket.binaryType = "arraybuffer";
socket.onmessage = (event) => term.write(new Uint8Array(event.data));
term.onData((text) => socket.send(new TextEncoder().encode(text)));
term.focus();
</script>`;

/** Serves it with a terminal of this size; gives its address. */
function servePlain(rows, cols) {
  const page = PAGE.replace("ROWS", rows).replace("COLS", cols);
  const files = {
    "/": ["text/html", page],
    "/xterm.js": ["text/javascript", readFileSync(join(XTERM, "lib/xterm.js"))],
    "/xterm.css": ["text/css", readFileSync(join(XTERM, "css/xterm.css"))],
  };
  const server = http.createServer((request, response) => {
    const [type, body] = files[request.url] ?? ["text/plain", ""];
    response.setHeader("Content-Type", type);
    response.end(body);
  });
  new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket) => {
    const shell = spawn("python3", [join(__dirname, "bench_pty.py"), rows, cols]);
    shell.stdout.on("data", (bytes) => socket.send(bytes));
    socket.on("message", (bytes) => shell.stdin.write(bytes));
    socket.on("close", () => shell.kill());
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve({ url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() });
    });
  });
}

module.exports = { servePlain };
