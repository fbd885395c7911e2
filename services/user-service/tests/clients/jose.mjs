// jose as its manual has it: verifies the tokens that come, one a line.
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [keysUrl, issuer, audience] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(keysUrl));
await keys.reload();
console.log('ready');
for await (const token of createInterface({ input: process.stdin })) {
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, audience });
    console.log('accepted', payload.sub);
  } catch (error) {
    console.log('refused', error.message);
  }
}
