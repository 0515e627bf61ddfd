// Writes messages.json: frames as the npm package ssm-session 1.0.6 builds them, for tests/message_codec.rs.
// Run with node beside an installed ssm-session. Ids and times differ from run to run; the test reads the rest.
// Its quirks, all of which a server has to bear: types are padded with NULs on the left, the digest field holds the
// beginning of the hex text instead of the hash, acknowledgements have the number in their header and payload type 3.
const fs = require("fs");
const path = require("path");
const { ssm } = require("ssm-session");

const frames = [];
const connection = { send: (frame) => frames.push(frame) };
ssm.init(connection, { token: "made-up", termOptions: { cols: 132, rows: 43 } });
ssm.sendText(connection, new TextEncoder().encode("ls \u00fc\n"));
ssm.sendACK(connection, { messageType: "output_stream_data", sequenceNumber: 7, messageId: "00112233-4455-4677-8899-aabbccddeeff" });

const [open, ...binary] = frames;
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const out = { open, size: hex(binary[0]), input: hex(binary[1]), acknowledge: hex(binary[2]) };
fs.writeFileSync(path.join(__dirname, "messages.json"), JSON.stringify(out, null, 1) + "\n");
