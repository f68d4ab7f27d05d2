// The official Node SDK, unmodified: asks for one token and prints what it made of the answer as a line of JSON.
// Input, as JSON on standard input: {url, token, solution, business}.
import { readFileSync } from "node:fs";
import { FacebookAdsApi } from "facebook-nodejs-business-sdk";

const { url, token, solution, business } = JSON.parse(readFileSync(0, "utf8"));
Object.defineProperty(FacebookAdsApi, "GRAPH", { get: () => url });
Object.defineProperty(FacebookAdsApi, "VERSION", { get: () => "v23.0" });

try {
  const answer = await new FacebookAdsApi(token, "en_US", false).call("GET", [solution, "access_token"], { business_id: business });
  console.log(JSON.stringify({ token: answer.access_token, expiresAt: answer.expires_at }));
} catch (error) {
  const { code, error_subcode: subcode = null, type } = error.response ?? {};
  console.log(JSON.stringify({ name: error.constructor.name, status: error.status, code, subcode, type }));
}
