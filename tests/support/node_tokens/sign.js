// Makes a new key for each algorithm in the arguments, signs the claims from standard input with it, and prints
// {"algorithm": {"token": ..., "jwk": ...}} as JSON. Nothing is kept.
import { text } from "node:stream/consumers";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const claims = JSON.parse(await text(process.stdin));
const signed = {};
for (const alg of process.argv.slice(2)) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const token = await new SignJWT(claims).setProtectedHeader({ alg, kid: alg, typ: "at+jwt" }).sign(privateKey);
  signed[alg] = { token, jwk: { ...(await exportJWK(publicKey)), kid: alg, alg, use: "sig" } };
}
process.stdout.write(JSON.stringify(signed));
