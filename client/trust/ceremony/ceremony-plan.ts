/**
 * The plan of a ceremony, `ceremony.yaml`:
 *
 *   name: root of example.com        # read aloud, and printed on every page
 *   holders: [ holder-1, … ]         # who holds a key of root and targets, at most 16
 *   threshold: 3                     # so many of them sign a root
 *   targets: 2                       # … and the targets; by default as many as a root
 *   online: online.pub.pem           # public key of the service that signs snapshot and timestamp: a file beside the plan
 *   expires: 365d                    # how long a root counts; by default 365d
 *   authority:                       # the root of a certificate authority, if the ceremony makes one
 *     name: signers of example.com   # its common name
 *     organization: Example          # may be left out
 *     expires: 3650d                 # how long its certificate counts; by default 3650d
 */
import { dirname, join } from 'node:path';
import { decodeUtf8 } from '../../../merkle/bytes.ts';
import { parseYaml } from '../../../merkle/runtime/config/settings-file.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { readFileIfThere } from '../../../merkle/runtime/disk/files.ts';
import { ClientError } from '../../errors.ts';
import { array, record, string } from '../../formats/json.ts';
import { parsePublicKeyPem } from '../../formats/key.ts';
import { checkPlan, DEFAULT_EXPIRY, type TrustPlan } from '../tuf/plan.ts';
import { parseExpiry } from '../tuf/plan-config.ts';
import { type TufKey, tufKey } from '../tuf/tuf-key.ts';
import type { Ceremony } from './ceremony.ts';
import type { CeremonyStore } from './ceremony-store.ts';
import { checkHolders, holderName, MAX_HOLDERS } from './steps.ts';

const MAX_PLAN = 64 * 1024;
const ONLINE = 'online';

export interface CeremonyPlan {
  readonly name: string;
  readonly holders: readonly string[];
  readonly threshold: number;
  /** Of targets. */
  readonly targets: number;
  readonly online: TufKey;
  /** In ms. */
  readonly expires: number;
  /** The root of a certificate authority. */
  readonly authority?: {
    readonly subject: { readonly organization?: string; readonly commonName: string };
    readonly expires: number;
  };
}

/** The plan, and the bytes of its file. @throws ClientError `trust` where there is none, or where it is wrong */
export async function readCeremonyPlan(
  store: CeremonyStore,
): Promise<{ readonly plan: CeremonyPlan; readonly bytes: Uint8Array }> {
  const bytes = await store.read('plan', MAX_PLAN);
  const path = store.path('plan');
  if (bytes === undefined) throw wrong(`there is no ${path}: write the plan of the ceremony`);
  const { value, problems } = parseYaml(textOf(bytes, path));
  if (problems.length > 0) throw wrong(`${path}: ${problems[0]}`);
  try {
    const json = record(value, 'the plan', [
      'name',
      'holders',
      'threshold',
      'targets',
      'online',
      'expires',
      'authority',
    ]);
    const threshold = count(json.threshold, 'threshold');
    const targets = json.targets === undefined ? threshold : count(json.targets, 'targets');
    const holders = array(json.holders, 'holders', MAX_HOLDERS).map(holderName);
    checkHolders({ holders, threshold: Math.max(threshold, targets) });
    const name = string(json.name, 'name').trim();
    if (name === '' || name.length > 200 || /[\p{C}]/u.test(name)) throw wrong('name is not a line of text');
    if (holders.includes(ONLINE)) throw wrong(`"${ONLINE}" is the name of the service: call the holder otherwise`);
    const expires = json.expires === undefined ? DEFAULT_EXPIRY.root : parseExpiry(string(json.expires, 'expires'));
    if (expires < DEFAULT_EXPIRY.timestamp) throw wrong('expires is shorter than 1d, the period of the timestamp');
    const online = await publicKey(join(dirname(path), string(json.online, 'online')));
    const authority = json.authority === undefined ? {} : { authority: readAuthorityPlan(json.authority) };
    return { plan: { name, holders, threshold, targets, online, expires, ...authority }, bytes };
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw wrong(`${path}: ${cause.message}`, cause);
  }
}

/** The plan of the repository, once the holders have keys. @throws ClientError `trust` where it breaks a rule of plans */
export function repositoryPlan(plan: CeremonyPlan, { keys }: Pick<Ceremony, 'keys'>): TrustPlan {
  const { holders, threshold, targets, online, expires } = plan;
  const service = { holders: [ONLINE], threshold: 1 };
  const whole: TrustPlan = {
    holders: new Map([...holders.map((holder) => [holder, keys.get(holder)!.key] as const), [ONLINE, online]]),
    root: { holders, threshold, expires },
    targets: { holders, threshold: targets, expires: DEFAULT_EXPIRY.targets },
    snapshot: { ...service, expires: DEFAULT_EXPIRY.snapshot },
    timestamp: { ...service, expires: DEFAULT_EXPIRY.timestamp },
    delegations: [],
  };
  // Now, while nothing is signed: the repository of the ceremony takes no plan that breaks a rule.
  checkPlan(whole);
  return whole;
}

function readAuthorityPlan(value: unknown): NonNullable<CeremonyPlan['authority']> {
  const json = record(value, 'authority', ['name', 'organization', 'expires']);
  const commonName = string(json.name, 'authority.name');
  const organization =
    json.organization === undefined ? undefined : string(json.organization, 'authority.organization');
  const expires = parseExpiry(json.expires === undefined ? '3650d' : string(json.expires, 'authority.expires'));
  return { subject: { ...(organization !== undefined && { organization }), commonName }, expires };
}

function textOf(bytes: Uint8Array, path: string): string {
  try {
    return decodeUtf8(bytes);
  } catch (cause) {
    throw wrong(`${path} is not UTF-8 text`, cause);
  }
}

async function publicKey(path: string): Promise<TufKey> {
  const pem = await readFileIfThere(path, MAX_PLAN);
  if (pem === undefined) throw wrong(`online names ${path}, which is not there`);
  return tufKey(parsePublicKeyPem(Buffer.from(pem).toString('latin1'), nodePrimitives()).spki);
}

function count(value: unknown, path: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
  throw wrong(`${path} is not a whole number of at least 1`);
}

function wrong(why: string, cause?: unknown): ClientError {
  return new ClientError('trust', why, { cause });
}
