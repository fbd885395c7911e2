// jwks-rsa with jsonwebtoken as their manuals have it: verifies the tokens that come, one a line.
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import jsonwebtoken from 'jsonwebtoken';
import { JwksClient } from 'jwks-rsa';

const [jwksUri, issuer, audience] = process.argv.slice(2);
const client = new JwksClient({ jwksUri });
await client.getSigningKeys();
console.log('ready');
const findKey = (header, done) =>
  client.getSigningKey(header.kid).then((key) => done(null, key.getPublicKey()), done);
const verify = promisify(jsonwebtoken.verify);
for await (const token of createInterface({ input: process.stdin })) {
  try {
    const claims = await verify(token, findKey, { issuer, audience });
    console.log('accepted', claims.sub);
  } catch (error) {
    console.log('refused', error.message);
  }
}
