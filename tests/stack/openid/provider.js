// An OpenID provider of one client on loopback, for the tests of this folder.
//
//   node provider.js
//
// The package is a certified OpenID provider. In this configuration it issues RFC 9068
// access tokens for client credentials. The audience is named in the form field
// `resource` (RFC 8707) or `audience` (as at Auth0).
//
// | variable | |
// |---|---|
// | OPENID_PORT | the port; 0: any free port |
// | OPENID_KEYS | the ids of the published keys; the first one signs |
// | OPENID_FOLDER | the folder of the keys, which are generated when they are first named |
// | OPENID_LIFE | the lifetime of tokens, in seconds |

import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import Provider from 'oidc-provider';

const life = Number(process.env.OPENID_LIFE);
const keys = process.env.OPENID_KEYS.split(',').map((kid) => {
  const file = join(process.env.OPENID_FOLDER, `${kid}.json`);
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = { ...privateKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' };
    writeFileSync(file, JSON.stringify(key));
  }
  return JSON.parse(readFileSync(file, 'utf8'));
});

const server = createServer();
server.listen(Number(process.env.OPENID_PORT), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'the-client',
      client_secret: 'its secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      scope: 'runs',
      token_endpoint_auth_method: 'client_secret_post',
    }],
    jwks: { keys },
    scopes: ['runs'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        // The package knows only resources, which are URIs.
        defaultResource: (ctx) => ctx.oidc.body?.audience && `audience:${ctx.oidc.body.audience}`,
        getResourceServerInfo: (ctx, resource) => ({
          accessTokenFormat: 'jwt',
          accessTokenTTL: life,
          audience: resource.replace(/^audience:/, ''),
          jwt: { sign: { alg: 'RS256' } },
          scope: 'runs',
        }),
      },
    },
  });
  server.on('request', provider.callback());
  console.log(`issuer ${issuer}`);
  // The requests, which the tests count.
  provider.on('grant.success', ({ oidc }) => {
    const { audience, resource, scope } = oidc.body;
    console.log(`granted ${JSON.stringify({ audience, resource, scope })}`);
  });
  provider.on('grant.error', (ctx, error) => console.log(`refused ${error.message}: ${error.error_description}`));
});
