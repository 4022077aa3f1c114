// The certified OpenID provider (npm `oidc-provider`), configured by one JSON file, for the tests of tests/real.
//
// Owns: which features are on, the signing keys and their rotation, an admin port that only tests talk to.
// Must not: check tokens for anybody; the provider library does all that a real one does.
// A login asks nobody: whoever `login_hint` names is logged in and has consented. Everything else is the library's.
//
// node provider.mjs CONFIGURATION.json
//   {issuer, port, admin_port, keys_file, state_file, clients: [metadata], accounts: {id: claims}, resources: {uri: settings},
//    access_token_ttl, dpop_nonce}
//
// Admin port (loopback), each answer JSON:
//   POST /keys/publish   a new key of each kind is published, the old one signs on
//   POST /keys/switch    the newest keys sign, the old ones stay published
//   POST /keys/retire    only the keys that sign stay published
//   GET  /keys           {signing: [kid], published: [kid]}
//   POST /behaviour      {delay_ms, status}: each answer waits so long; a status other than 0 is all that is answered
//   GET  /requests       [{method, path, authorization}] since the start, or since the last DELETE /requests
//   GET  /events         what the library reported: {name, detail}

import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';

import Provider from 'oidc-provider';

const settings = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const behaviour = { delay_ms: 0, status: 0 };
const requests = [];
const events = [];

// --- signing keys: one RSA and one EC at a time, kept in a file so that a restart signs with the same ones ---

function newKeys() {
  const stamp = crypto.randomBytes(4).toString('hex');
  const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const ec = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return [
    { ...rsa.export({ format: 'jwk' }), kid: `rsa-${stamp}`, alg: 'RS256', use: 'sig' },
    { ...ec.export({ format: 'jwk' }), kid: `ec-${stamp}`, alg: 'ES256', use: 'sig' },
  ];
}

// Generations of keys; the library signs with the first key that fits, so the signing generation stands first.
let generations = fs.existsSync(settings.keys_file)
  ? JSON.parse(fs.readFileSync(settings.keys_file, 'utf8'))
  : [newKeys()];
let newest = generations.at(-1);

const steps = {
  publish() {
    newest = newKeys();
    generations = [...generations, newest];
  },
  switch() {
    generations = [newest, ...generations.filter((each) => each !== newest)];
  },
  retire() {
    generations = [generations[0]];
  },
};

function keysInForce() {
  return { signing: generations[0].map((key) => key.kid), published: generations.flat().map((key) => key.kid) };
}

// --- what the provider remembers (sessions, grants, opaque tokens): kept across rotations and restarts ---

const stored = new Map(fs.existsSync(settings.state_file) ? JSON.parse(fs.readFileSync(settings.state_file, 'utf8')) : []);

class Adapter {
  constructor(model) {
    this.model = model;
  }

  #save() {
    fs.writeFileSync(settings.state_file, JSON.stringify([...stored]), { mode: 0o600 });
  }

  #key(id) {
    return `${this.model}:${id}`;
  }

  #first(fits) {
    return [...stored.values()].find(({ model, payload }) => model === this.model && fits(payload))?.payload;
  }

  async upsert(id, payload, _expiresIn) {
    stored.set(this.#key(id), { model: this.model, payload });
    this.#save();
  }

  async find(id) {
    return stored.get(this.#key(id))?.payload;
  }

  async findByUid(uid) {
    return this.#first((payload) => payload.uid === uid);
  }

  async findByUserCode(code) {
    return this.#first((payload) => payload.userCode === code);
  }

  async consume(id) {
    stored.get(this.#key(id)).payload.consumed = Math.floor(Date.now() / 1000);
    this.#save();
  }

  async destroy(id) {
    stored.delete(this.#key(id));
    this.#save();
  }

  async revokeByGrantId(grant) {
    for (const [key, { payload }] of stored) {
      if (payload.grantId === grant) stored.delete(key);
    }
    this.#save();
  }
}

// --- the library's configuration ---

function resourceServer(_ctx, indicator) {
  const found = settings.resources[indicator];
  if (!found) throw new Error(`no resource server ${indicator}`);
  const { audience, scope, format, alg } = found;
  return {
    audience,
    scope,
    accessTokenFormat: format,
    accessTokenTTL: settings.access_token_ttl,
    jwt: format === 'jwt' ? { sign: { alg } } : undefined,
  };
}

// Beside the account's own claims: how and when its owner logged in (RFC 9068 §2.2.1), and the session.
function tokenClaims(ctx, token) {
  const { acr, amr, authTime: auth_time, sid } = ctx.oidc.entities.AuthorizationCode ?? {};
  const all = { ...settings.accounts[token.accountId], acr, amr, auth_time, sid: token.sid ?? sid };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

async function grantEverything(ctx) {
  const { client, session, params, provider } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  for (const indicator of [params.resource ?? []].flat()) {
    grant.addResourceScope(indicator, settings.resources[indicator].scope);
  }
  await grant.save();
  return grant;
}

function configuration() {
  return {
    adapter: Adapter,
    clients: settings.clients,
    jwks: { keys: generations.flat() },
    cookies: { keys: ['only for tests'] },
    findAccount: (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, ...settings.accounts[id] }) }),
    extraTokenClaims: tokenClaims,
    scopes: ['openid', 'offline_access', ...new Set(Object.values(settings.resources).flatMap((r) => r.scope.split(' ')))],
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: grantEverything,
    pkce: { required: () => true },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    clientBasedCORS: () => false,
    // The library guards its own requests (logouts) from loopback addresses, where all of these tests live.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    ttl: { AccessToken: settings.access_token_ttl, ClientCredentials: settings.access_token_ttl, Session: 3600, Grant: 3600, IdToken: 3600, Interaction: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId.startsWith('authz-') },
      revocation: { enabled: true, allowedPolicy: () => true },
      dPoP: {
        enabled: true,
        ...(settings.dpop_nonce && { nonceSecret: crypto.randomBytes(32), requireNonce: () => true }),
      },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: (ctx, form) => { ctx.body = form; } },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: resourceServer,
        useGrantedResource: () => true,
      },
    },
  };
}

function makeProvider() {
  const provider = new Provider(settings.issuer, configuration());
  for (const name of ['server_error', 'grant.error', 'authorization.error', 'introspection.error', 'backchannel.error']) {
    provider.on(name, (_ctx, error) => events.push({ name, detail: `${error.message} ${error.error_description ?? ''} ${error.cause ?? ''}` }));
  }
  provider.on('backchannel.success', (_ctx, client, account, sid) => {
    events.push({ name: 'backchannel.success', detail: { client: client.clientId, account, sid } });
  });
  return { provider, answer: provider.callback() };
}

let current;
function adopt() {
  fs.writeFileSync(settings.keys_file, JSON.stringify(generations), { mode: 0o600 });
  current = makeProvider();
}
adopt();

// --- the two doors ---

async function logIn(request, response) {
  const { params } = await current.provider.interactionDetails(request, response);
  const result = { login: { accountId: params.login_hint, acr: params.acr_values?.split(' ')[0], amr: ['pwd'] }, consent: {} };
  await current.provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

http.createServer((request, response) => {
  const path = request.url.split('?')[0];
  requests.push({ method: request.method, path, authorization: request.headers.authorization ?? '' });
  setTimeout(() => {
    if (behaviour.status) {
      response.writeHead(behaviour.status).end('{}');
    } else if (path.startsWith('/interaction/')) {
      logIn(request, response).catch((error) => response.writeHead(500).end(String(error)));
    } else {
      current.answer(request, response);
    }
  }, behaviour.delay_ms);
}).listen(settings.port, '127.0.0.1');

function administer(method, path, body) {
  const [, area, step] = path.split('/');
  if (method === 'POST' && area === 'keys' && Object.hasOwn(steps, step)) {
    steps[step]();
    adopt();
    return keysInForce();
  }
  if (method === 'POST' && area === 'behaviour') return Object.assign(behaviour, body);
  if (method === 'DELETE' && area === 'requests') return requests.splice(0);
  return { keys: keysInForce(), requests, events }[area];
}

http.createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const answer = administer(request.method, request.url, text ? JSON.parse(text) : {});
  response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer ?? null));
}).listen(settings.admin_port, '127.0.0.1');
