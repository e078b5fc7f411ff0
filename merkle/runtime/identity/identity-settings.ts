/**
 * Whose identities a service takes: the part of settings that the log, the authority and the witness share. It is read from a file
 * of its own (`readIdentityFile`), or is a part of a service's file (`IDENTITY_SETTINGS`, `checkIdentitySettings`).
 */
import { dirname, resolve } from 'node:path';
import { type StaticDecode, Type } from 'typebox';
import { isLoopback } from '../../loopback.ts';
import { printable } from '../../printable.ts';
import { parseTrustDomain } from '../../spiffe/spiffe-id.ts';
import { type DeepReadonly, failOn, freeze } from '../config/load.ts';
import { parseYaml, readTextFile, type SettingPath } from '../config/settings-file.ts';
import { SettingsWalk } from '../config/settings-walk.ts';
import { type About, duration, list, onOff, path, text } from '../config/values.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { TOKEN_ALGORITHMS } from './tokens/token-algorithms.ts';

const opt = Type.Optional;
const MAX_FILE = 256 * 1024;
/** Without user name, query and fragment, and as it stands: `iss` is compared character by character. */
const URL_FORM = /^https?:\/\/[^\s/?#@\\]+(?:\/[^\s?#@\\]*)?$/;
const AUDIENCE = /^[!-~](?:[ -~]*[!-~])?$/;

function webUrl(allowed: string, about: About) {
  return Type.Refine(
    Type.String({ ...about, kind: 'text', maxLength: 2048, allowed }),
    (value) => URL_FORM.test(value) && URL.canParse(value),
  );
}

/** An issuer of ID tokens. */
const Issuer = Type.Object({
  issuer: webUrl('the URL that tokens have as `iss`, such as https://accounts.example.com', {
    description: 'The issuer, exactly as its tokens name it in `iss`, with or without a slash at the end.',
    danger:
      'Everybody to whom this issuer gives a token has a proven identity: the access policy must name who may call.',
  }),
  audience: opt(
    text(AUDIENCE, 'printable ASCII', {
      description: 'The audience (`aud`) that its tokens must have.',
      defaultText: 'the one of the service',
      danger: 'A token that another service also takes can be used by that service here.',
    }),
  ),
  keysFile: opt(
    path({
      description: 'A JWK set with the keys of the issuer. The file is read again when it changes.',
      defaultText: 'none: the keys are fetched',
    }),
  ),
  keysUrl: opt(
    webUrl('an https URL', {
      description: 'Where the issuer publishes its JWK set.',
      defaultText: 'the one in `/.well-known/openid-configuration` below the issuer (OpenID Connect Discovery)',
    }),
  ),
  algorithms: list((item) => TOKEN_ALGORITHMS.some((known) => known === item), TOKEN_ALGORITHMS.join(', '), {
    description: 'Signature algorithms that its tokens may have. Each must also be the one of the key.',
    default: TOKEN_ALGORITHMS,
  }),
  keepKeys: duration('1m', '168h', {
    description: 'While the issuer is away, its last keys are used for this long after they were fetched.',
    default: '24h',
    danger: 'For so long a key that the issuer withdrew may be in use where the service cannot reach the issuer.',
  }),
  ca: opt(
    path({
      description: 'Authorities (PEM) that certify the issuer, in the place of those of the system.',
      defaultText: 'those of the system',
    }),
  ),
  allowHttp: onOff({
    description: 'Fetch keys by plain HTTP from another machine.',
    default: false,
    danger: 'Anybody on the way can put keys of their own in the place of those of the issuer, and be anybody.',
  }),
});

/** As `TrustDomainSettings` of the sources of trust bundles. */
const TrustDomain = Type.Object({
  name: Type.Refine(
    Type.String({
      kind: 'text',
      maxLength: 255,
      allowed: 'the name of a trust domain, such as example.org',
      description: 'The trust domain, without `spiffe://`.',
      danger:
        'Every workload to which this trust domain gives an SVID has a proven identity: the access policy must name who may call.',
    }),
    isTrustDomain,
  ),
  bundle: Type.Refine(
    Type.String({
      kind: 'text',
      maxLength: 4096,
      allowed: 'a path, or an https URL',
      description:
        'Its trust bundle: a file with a JWK set or certificates in PEM, or a URL with a JWK set (SPIFFE Federation). It is read again when it changes.',
    }),
    (value) => value !== '' && (!value.includes('://') || (value.startsWith('https://') && URL.canParse(value))),
  ),
  ca: opt(
    path({
      description: 'Of a URL: authorities (PEM) that certify its server (profile `https_web`).',
      defaultText: 'those of the system',
    }),
  ),
  endpointId: opt(
    text(/^spiffe:\/\/[a-z0-9._-]+(?:\/[A-Za-z0-9._-]+)+$/, 'a SPIFFE ID', {
      description: 'Of a URL: the SPIFFE ID of its server (profile `https_spiffe`).',
      defaultText: 'none: the server has a certificate of the web',
    }),
  ),
  bootstrap: opt(
    path({
      description: 'With `endpointId`: a file with a trust bundle for the first connection.',
      defaultText: 'none',
    }),
  ),
});

export const IDENTITY_SETTINGS = Type.Object({
  trustDomains: Type.Array(TrustDomain, {
    description: 'Trust domains whose SVIDs are taken.',
    allowed: 'a list of at most 64 trust domains',
    default: [],
    maxItems: 64,
  }),
  bundleMap: opt(
    path({
      description:
        'A file with the trust bundles of several trust domains (a SPIFFE bundle map). SVIDs of all of them are taken.',
      defaultText: 'none',
    }),
  ),
  workloadApi: opt(
    text(/^\S+$/, 'unix:///run/agent.sock, a path, or tcp://127.0.0.1:8081', {
      description: 'The socket of a SPIFFE Workload API: SVIDs of each trust domain whose bundle it gives are taken.',
      defaultText: 'none',
    }),
  ),
  clientCa: opt(
    path({
      description:
        'Authorities (PEM) whose client certificates are taken, by their names. A SPIFFE ID in one of these proves nothing.',
      defaultText: 'none: client certificates without a SPIFFE ID prove nothing',
      danger:
        'Everybody to whom these authorities give a certificate has a proven identity: the access policy must name who may call.',
    }),
  ),
  issuers: Type.Array(Issuer, {
    description: 'Issuers of OpenID Connect ID tokens: identity providers of people, and build systems.',
    allowed: 'a list of at most 64 issuers',
    default: [],
    maxItems: 64,
  }),
});

export type IdentitySettings = DeepReadonly<StaticDecode<typeof IDENTITY_SETTINGS>>;
function isTrustDomain(name: string): boolean {
  try {
    return parseTrustDomain(name) === name;
  } catch {
    return false;
  }
}

/** What the schema cannot say. @param problem gets each mistake, with the place below the settings */
export function checkIdentitySettings(
  settings: IdentitySettings,
  problem: (at: SettingPath, text: string) => void,
): void {
  for (const [i, { name, bundle, ca, endpointId, bootstrap }] of settings.trustDomains.entries()) {
    const at = ['trustDomains', i] as const;
    if (settings.trustDomains.findIndex((other) => other.name === name) < i) {
      problem([...at, 'name'], 'stands there before: give each trust domain once');
    }
    const isUrl = bundle.startsWith('https://');
    if (!isUrl && ca !== undefined) problem([...at, 'ca'], 'is of a URL, and "bundle" is a file');
    if (!isUrl && endpointId !== undefined) problem([...at, 'endpointId'], 'is of a URL, and "bundle" is a file');
    if (ca !== undefined && endpointId !== undefined) problem([...at, 'endpointId'], 'and "ca" exclude each other');
    if (bootstrap !== undefined && endpointId === undefined) problem([...at, 'bootstrap'], 'needs "endpointId"');
  }
  for (const [i, one] of settings.issuers.entries()) {
    const at = ['issuers', i] as const;
    const { issuer, keysFile, keysUrl, allowHttp } = one;
    if (settings.issuers.findIndex((other) => other.issuer === issuer) < i) {
      problem([...at, 'issuer'], 'stands there before: give each issuer once');
    }
    if (keysFile !== undefined && keysUrl !== undefined)
      problem([...at, 'keysUrl'], 'and "keysFile" exclude each other');
    const fetched = keysFile === undefined ? (keysUrl ?? issuer) : undefined;
    if (fetched?.startsWith('http:') && !isLoopback(fetched) && !allowHttp) {
      const why = 'has keys that would be fetched by plain HTTP, where anybody on the way can change them: use https';
      problem([...at, keysUrl === undefined ? 'issuer' : 'keysUrl'], why);
    }
  }
}

/**
 * Reads a file of identity settings in YAML.
 * @throws RuntimeError `config` naming everything that is unknown or wrong, `file`
 */
export function readIdentityFile(file: string): IdentitySettings {
  const name = printable(file);
  const full = resolve(file);
  const { value, problems, lineOf } = parseYaml(readTextFile(full, file, MAX_FILE));
  if (problems.length > 0) throw new RuntimeError('config', `${name} is not valid YAML: ${problems.join('; ')}`);
  const walk = new SettingsWalk({ base: dirname(full), where: (at) => `${name} line ${lineOf(at)}` });
  const settings = walk.object(IDENTITY_SETTINGS, value ?? {}, []) as IdentitySettings | undefined;
  if (settings !== undefined && walk.problems.length === 0) {
    checkIdentitySettings(settings, (at, why) => walk.problem(at, why));
  }
  failOn(walk.problems);
  return freeze(locateBundles(settings!, dirname(full)));
}

/**
 * The settings with absolute paths of bundles. The reader of settings locates every other path, and cannot tell this one from a URL.
 * @param base the directory that relative paths are relative to
 */
export function locateBundles(settings: IdentitySettings, base: string): IdentitySettings {
  const located = (bundle: string) => (bundle.startsWith('https://') ? bundle : resolve(base, bundle));
  const trustDomains = settings.trustDomains.map((domain) => ({ ...domain, bundle: located(domain.bundle) }));
  return { ...settings, trustDomains };
}
