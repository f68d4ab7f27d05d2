// jose, unmodified: verifies tokens with a published key set and prints a verdict for each as a line of JSON.
// Input, as JSON on standard input: {url, issuer, audience, tokens}.
import { readFileSync } from "node:fs";
import { createLocalJWKSet, jwtVerify } from "jose";

const { url, issuer, audience, tokens } = JSON.parse(readFileSync(0, "utf8"));
const keys = createLocalJWKSet(await (await fetch(`${url}/.well-known/jwks.json`)).json());
const wanted = { issuer, audience, typ: "at+jwt", algorithms: ["EdDSA"], requiredClaims: ["sub", "client_id", "jti", "scope", "exp"] };

const verdicts = [];
for (const token of tokens) {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, wanted);
    verdicts.push({ good: true, claims: payload, header: protectedHeader });
  } catch (error) {
    verdicts.push({ good: false, code: error.code });
  }
}
console.log(JSON.stringify(verdicts));
