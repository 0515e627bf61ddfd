// What is measured inside of a page, the same in the console and in the plain page: when the echo of a
// key is parsed and painted, when a text is on the screen, when a lost websocket is back.
//
// It is told to the page by `addInitScript`: it runs before the page's scripts and sees their websocket.
"use strict";

/** xterm parses what comes after a key in the handler of the message; its end is the end of the parsing. */
function clock() {
  const Native = window.WebSocket;
  const bench = { echo: null, closed: 0, returns: [], bytes: 0 };
  window.bench = bench;
  const seen = (socket, data) => {
    if (!(data instanceof ArrayBuffer)) return;
    const now = performance.now();
    bench.bytes += data.byteLength;
    if (!socket.isKnown && bench.closed) {
      bench.returns.push(now - bench.closed);
      bench.closed = 0;
    }
    socket.isKnown = true;
    if (bench.echo && new Uint8Array(data).at(-1) === bench.echo.code) bench.echo.parsed ??= now;
  };
  window.WebSocket = class extends Native {
    constructor(...parts) {
      super(...parts);
      if (!String(parts[0]).includes("data-channel")) return;
      this.addEventListener("close", () => {
        bench.closed ||= performance.now();
      });
    }
    addEventListener(name, handler, ...more) {
      if (name !== "message") return super.addEventListener(name, handler, ...more);
      const heard = (event) => {
        handler.call(this, event);
        seen(this, event.data);
      };
      return super.addEventListener(name, heard, ...more);
    }
    get onmessage() {
      return super.onmessage;
    }
    set onmessage(handler) {
      super.onmessage = (event) => {
        handler.call(this, event);
        seen(this, event.data);
      };
    }
  };
  const screen = () =>
    document.querySelector(".panel:not(.behind) .pane.active .xterm-rows") ??
    document.querySelector(".xterm-rows");
  const next = (event) =>
    new Promise((resolve) => {
      addEventListener(event, (found) => resolve(found.timeStamp), { capture: true, once: true });
    });
  const behind = (resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(performance.now());
    port2.postMessage(0);
  };
  /**
   * Behind the frame that shows what `is` wants; rejects when that takes too long. xterm changes the page
   * in the callback of a frame: what is posted there comes behind that frame. Other changes are shown by
   * the next one. A loop of frames that looks would see a change one frame late, and make each frame later.
   */
  const painted = (is, patience = 120_000, byFrame = true) =>
    new Promise((resolve, reject) => {
      const seen = () => {
        observer.disconnect();
        clearTimeout(timer);
        if (byFrame) behind(resolve);
        else requestAnimationFrame(() => behind(resolve));
      };
      const observer = new MutationObserver(() => is() && seen());
      observer.observe(document, { subtree: true, childList: true, characterData: true });
      const timer = setTimeout(() => {
        observer.disconnect();
        reject(new Error(`not seen: ${is}; ${screen()?.textContent}`));
      }, patience);
      if (is()) seen();
    });
  /** The next key, whose echo ends with this byte. */
  bench.key = async (code) => {
    const echo = { code };
    bench.echo = echo;
    const before = screen().textContent;
    const began = await next("keydown");
    const end = await painted(() => echo.parsed && screen().textContent !== before);
    return { parsed: echo.parsed - began, painted: end - began };
  };
  /** From the next event of this kind until the screen holds the text. */
  bench.until = async (event, text, patience) => {
    const began = await next(event);
    return (await painted(() => screen()?.textContent.includes(text), patience)) - began;
  };
  /** From the next click until a shell's prompt is the last text of the screen. */
  bench.prompt = async () => {
    const began = await next("click");
    return (await painted(() => /[#$]\s*$/.test(screen()?.textContent ?? ""))) - began;
  };
  /** From the next input until the list of devices begins with this name. */
  bench.found = async (name) => {
    const began = await next("input");
    const first = () => document.querySelector(".row[data-device] .name a")?.textContent;
    return (await painted(() => first() === name, undefined, false)) - began;
  };
}

module.exports = { clock };
