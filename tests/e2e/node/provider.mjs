// An OpenID provider that we did not write (npm: oauth2-mock-server), over TLS on localhost.
//   node provider.mjs PORT CERTIFICATE KEY
// Each line on standard input is a JSON object that says how logins go from now on; "ok" answers it.
//   claims      put into the ID token; null takes one out
//   deny        the authorization endpoint sends the browser back with this error
//   tokenError  the token endpoint answers 400 with this error
//   signature   "foreign": made with a key that is not published; "none": alg none, no signature
//   hang        the provider does nothing for so many milliseconds
//   rotate      publish another key, and sign with both in turn
import { createSign, generateKeyPairSync } from 'node:crypto';
import { createInterface } from 'node:readline';
import { OAuth2Server } from 'oauth2-mock-server';

const [port, certificate, key] = process.argv.slice(2);
const server = new OAuth2Server(key, certificate);
await server.issuer.keys.generate('RS256');
await server.start(Number(port), 'localhost');

const { privateKey: foreignKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
let how = {};

server.service.on('beforeTokenSigning', (token) => {
  for (const [name, value] of Object.entries(how.claims ?? {})) {
    if (value === null) delete token.payload[name];
    else token.payload[name] = value;
  }
});
server.service.on('beforeAuthorizeRedirect', (redirect) => {
  if (!how.deny) return;
  redirect.url.searchParams.delete('code');
  redirect.url.searchParams.set('error', how.deny);
});
server.service.on('beforeResponse', (response) => {
  if (how.hang) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, how.hang);
  if (how.tokenError) Object.assign(response, { statusCode: 400, body: { error: how.tokenError } });
  if (!how.signature) return;
  const [header, payload] = response.body.id_token.split('.');
  const signed = how.signature === 'none' ? `${encoded({ alg: 'none' })}.${payload}` : `${header}.${payload}`;
  const signature = how.signature === 'none' ? '' : createSign('RSA-SHA256').update(signed).sign(foreignKey, 'base64url');
  response.body.id_token = `${signed}.${signature}`;
});

createInterface({ input: process.stdin }).on('line', async (line) => {
  how = JSON.parse(line);
  if (how.rotate) await server.issuer.keys.generate('RS256');
  console.log('ok');
});
console.log(server.issuer.url);
