// `ssm-session` from npm, a client that others wrote: a shell, its echo, a lost websocket, the end.
//
// Environment: TOWLINE_START (StartSession's answer), TOWLINE_AGAIN (a program that prints ResumeSession's answer),
// NODE_EXTRA_CA_CERTS. What this client cannot do (it counts a second size as a repetition, and knows no ports) is not asked of it.
"use strict";

const { execFileSync } = require("child_process");
const WebSocket = require("ws");
const { ssm } = require("ssm-session");

const terminal = { rows: 34, cols: 97 };
let seen = "";
let wanted = null;
let socket = null;
let closed = null;

function look() {
  if (wanted && seen.includes(wanted.text)) {
    seen = seen.slice(seen.indexOf(wanted.text) + wanted.text.length);
    const { done } = wanted;
    wanted = null;
    done();
  }
}

function expect(text) {
  return new Promise((done, failed) => {
    wanted = { text, done };
    setTimeout(() => failed(new Error(`waited for ${text}, saw ${JSON.stringify(seen.slice(-300))}`)), 30000).unref();
    look();
  });
}

function type(text) {
  ssm.sendText(socket, new TextEncoder().encode(text));
}

function connect(answer, first) {
  socket = new WebSocket(answer.StreamUrl);
  socket.binaryType = "arraybuffer";
  const mine = socket;
  return new Promise((done, failed) => {
    mine.onopen = () => {
      if (first) ssm.init(mine, { token: answer.TokenValue, termOptions: terminal });
      else mine.send(ssm.buildTokenMessage(answer.TokenValue));
      done();
    };
    mine.onerror = (error) => failed(new Error(error.message));
    mine.onmessage = (event) => {
      const message = ssm.decode(event.data);
      const kind = message.messageType.replace(/\0/g, "").trim();
      if (kind === "channel_closed") {
        closed = JSON.parse(new TextDecoder().decode(message.payload)).Output;
        return;
      }
      if (kind !== "output_stream_data") return;
      ssm.sendACK(mine, message);
      if (message.payloadType === 1) {
        seen += new TextDecoder().decode(message.payload);
        look();
      }
    };
  });
}

async function story() {
  await connect(JSON.parse(process.env.TOWLINE_START), true);
  type("echo sum-$((6 * 7)); stty size\r");
  await expect("sum-42");
  await expect("34 97");
  // It repeats nothing: what was typed has to have arrived before its websocket is lost.
  type("here=$((40 + 2)); echo set-$here\r");
  await expect("set-42");
  const again = process.env.TOWLINE_AGAIN;
  if (again) {
    socket.terminate();
    const words = JSON.parse(again);
    await connect(JSON.parse(execFileSync(words[0], words.slice(1))), false);
    type("echo after-$here\r");
    await expect("after-42");
  }
  type("exit\r");
  const end = Date.now() + 30000;
  while (closed === null) {
    if (Date.now() > end) throw new Error("the end was not told");
    await new Promise((done) => setTimeout(done, 20));
  }
  if (closed !== "") throw new Error(`an ordinary end has no words: ${closed}`);
  socket.close();
  console.log("well");
}

story().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
