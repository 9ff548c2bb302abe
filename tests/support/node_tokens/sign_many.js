// Signs each {alg, header, payload} of the list on standard input (payload: base64 of the bytes to sign) with one key for each algorithm,
// and prints {"keys": [public JWKs], "tokens": [...]} as JSON. Nothing is kept.
import { text } from "node:stream/consumers";
import { CompactSign, exportJWK, generateKeyPair } from "jose";

const keys = {};
const tokens = [];
for (const { alg, header, payload } of JSON.parse(await text(process.stdin))) {
  keys[alg] ??= await generateKeyPair(alg, { extractable: true });
  const crit = Object.fromEntries((header.crit ?? []).map((name) => [name, true]));
  const signer = new CompactSign(Buffer.from(payload, "base64")).setProtectedHeader({ alg, kid: alg, ...header });
  tokens.push(await signer.sign(keys[alg].privateKey, { crit }));
}
const published = [];
for (const [alg, { publicKey }] of Object.entries(keys)) {
  published.push({ ...(await exportJWK(publicKey)), kid: alg, alg, use: "sig" });
}
process.stdout.write(JSON.stringify({ keys: published, tokens }));
