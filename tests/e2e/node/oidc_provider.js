// A real OpenID Connect provider (npm oidc-provider) with one confidential client and two people: `ann` is in the group
// "ops", `eve` is in none. Prints its issuer. Environment: NODE_PATH, REDIRECT_URI.
"use strict";

const http = require("http");
const path = require("path");

async function main() {
  // The package is an ES module: NODE_PATH does not lead to it.
  const file = path.join(process.env.NODE_PATH, "oidc-provider", "lib", "index.js");
  const { default: Provider } = await import(`file://${file}`);
  const server = http.createServer();
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "towline",
        client_secret: "hush+&=:%",
        redirect_uris: [process.env.REDIRECT_URI],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
      },
    ],
    claims: { openid: ["sub"], groups: ["groups", "preferred_username"] },
    scopes: ["openid", "groups", "offline_access"],
    pkce: { required: () => true, methods: ["S256"] },
    // Each refresh token is taken once.
    rotateRefreshToken: true,
    ttl: { AccessToken: 600, IdToken: 600, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600 },
    features: { revocation: { enabled: true }, devInteractions: { enabled: true } },
    cookies: { keys: ["one test", "another"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, groups: id === "ann" ? [{ name: "ops" }] : [] }),
    }),
  });
  server.on("request", provider.callback());
  process.stdout.write(`${issuer}\n`);
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
