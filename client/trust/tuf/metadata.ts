/**
 * TUF metadata files, read strictly (TUF 1.0.34 section 4). What is read is not verified yet: `checkSigned` counts
 * signatures, and the update workflow compares versions, hashes and times.
 *
 * Unknown members are kept: the signed bytes come from the file itself and not from what was understood of it.
 */
import { canonicalJson, isTufObject, parseTufJson, type TufJson, type TufObject } from './canonical-json.ts';
import {
  arrayAt,
  keysAt,
  type MetaFile,
  metaFileAt,
  objectAt,
  positiveAt,
  quoted,
  roleAt,
  type TargetFile,
  type TufRole,
  targetFileAt,
  textAt,
  timeAt,
} from './metadata-fields.ts';
import { isDelegatedName, isTargetName, TOP_LEVEL_ROLES, type TopLevelRole, TUF_LIMITS, tufMalformed } from './role.ts';
import type { TufKey } from './tuf-key.ts';

interface Signed {
  readonly version: number;
  /** Milliseconds since 1970. From this time on the metadata count no more. */
  readonly expires: number;
  /** The signed part as it stands in the file. */
  readonly json: TufObject;
}

export interface Root extends Signed {
  readonly type: 'root';
  readonly consistentSnapshot: boolean;
  readonly keys: ReadonlyMap<string, TufKey>;
  readonly roles: Readonly<Record<TopLevelRole, TufRole>>;
}

export interface Timestamp extends Signed {
  readonly type: 'timestamp';
  /** What it says about `snapshot.json`. */
  readonly snapshot: MetaFile;
}

export interface Snapshot extends Signed {
  readonly type: 'snapshot';
  /** By role: `targets`, the names of delegated roles, and perhaps `root`. */
  readonly meta: ReadonlyMap<string, MetaFile>;
}

export interface DelegatedRole extends TufRole {
  readonly name: string;
  readonly terminating: boolean;
  /** Patterns of target names. One of `paths` and `pathHashPrefixes` is there, or none of both, which delegates nothing. */
  readonly paths: readonly string[] | undefined;
  readonly pathHashPrefixes: readonly string[] | undefined;
}

interface Delegations {
  readonly keys: ReadonlyMap<string, TufKey>;
  /** In order: the first one that a target's name matches comes first. */
  readonly roles: ReadonlyMap<string, DelegatedRole>;
}

export interface Targets extends Signed {
  readonly type: 'targets';
  /** By name. */
  readonly targets: ReadonlyMap<string, TargetFile>;
  readonly delegations: Delegations | undefined;
}

export interface TufSignature {
  readonly keyid: string;
  /** Hex; empty where the key has not signed. */
  readonly sig: string;
}

export type AnySigned = Root | Targets | Snapshot | Timestamp;

export interface Metadata<S extends AnySigned = AnySigned> {
  readonly signed: S;
  readonly signatures: readonly TufSignature[];
  /** The canonical JSON of the signed part: what signatures cover. */
  readonly signedBytes: Uint8Array;
  /** The file. */
  readonly bytes: Uint8Array;
}

/** @throws ClientError `tuf-malformed` */
export function readRoot(bytes: Uint8Array, what = 'root.json'): Metadata<Root> {
  return read(bytes, 'root', what, (json, common) => {
    const keys = keysAt(json.keys, `${what}: "keys"`);
    const { consistent_snapshot: consistent = false } = json;
    if (typeof consistent !== 'boolean') throw tufMalformed(`${what}: consistent_snapshot`, 'is not true or false');
    const given = objectAt(json.roles, `${what}: "roles"`);
    const other = Object.keys(given).find((name) => !(TOP_LEVEL_ROLES as readonly string[]).includes(name));
    // Section 4.3: the role of mirrors is optional.
    if (other !== undefined && other !== 'mirrors')
      throw tufMalformed(what, `has the role ${quoted(other)}, which no root has`);
    const role = (name: TopLevelRole) => roleAt(given[name], keys, `${what}: the role ${name}`);
    const roles = {
      root: role('root'),
      targets: role('targets'),
      snapshot: role('snapshot'),
      timestamp: role('timestamp'),
    };
    return { type: 'root', ...common, consistentSnapshot: consistent, keys, roles };
  });
}

/** Also of a delegated role. @throws ClientError `tuf-malformed` */
export function readTargets(bytes: Uint8Array, what = 'targets.json'): Metadata<Targets> {
  return read(bytes, 'targets', what, (json, common) => {
    const targets = new Map<string, TargetFile>();
    for (const [name, file] of Object.entries(objectAt(json.targets, `${what}: "targets"`))) {
      if (!isTargetName(name))
        throw tufMalformed(what, `has a target called ${quoted(name)}, which is no relative path of plain names`);
      targets.set(name, targetFileAt(file, `${what}: the target ${name}`));
    }
    const { delegations } = json;
    return {
      type: 'targets',
      ...common,
      targets,
      delegations: delegations === undefined ? undefined : delegationsAt(delegations, what),
    };
  });
}

/** Metadata that holders sign: a root, or those of a targets role. @throws ClientError `tuf-malformed` */
export function readRootOrTargets(bytes: Uint8Array, what: string): Metadata<Root> | Metadata<Targets> {
  const { signed } = parseTufJson(bytes, what, TUF_LIMITS.file.targets);
  return isTufObject(signed) && signed._type === 'root' ? readRoot(bytes, what) : readTargets(bytes, what);
}

/** @throws ClientError `tuf-malformed` */
export function readSnapshot(bytes: Uint8Array, what = 'snapshot.json'): Metadata<Snapshot> {
  return read(bytes, 'snapshot', what, (json, common) => {
    const meta = new Map<string, MetaFile>();
    for (const [file, value] of Object.entries(objectAt(json.meta, `${what}: meta`))) {
      const role = file.endsWith('.json') ? file.slice(0, -'.json'.length) : '';
      // Snapshots of older versions of the specification name root.json too.
      if (role !== 'targets' && role !== 'root' && !isDelegatedName(role)) {
        throw tufMalformed(what, `names the file ${quoted(file)}, which is of no targets role`);
      }
      meta.set(role, metaFileAt(value, `${what}: ${file}`));
    }
    if (!meta.has('targets')) throw tufMalformed(what, 'does not name targets.json');
    return { type: 'snapshot', ...common, meta };
  });
}

/** @throws ClientError `tuf-malformed` */
export function readTimestamp(bytes: Uint8Array, what = 'timestamp.json'): Metadata<Timestamp> {
  return read(bytes, 'timestamp', what, (json, common) => {
    const meta = objectAt(json.meta, `${what}: meta`);
    const other = Object.keys(meta).find((name) => name !== 'snapshot.json');
    if (other !== undefined)
      throw tufMalformed(what, `names the file ${quoted(other)}: a timestamp names snapshot.json alone`);
    return { type: 'timestamp', ...common, snapshot: metaFileAt(meta['snapshot.json'], `${what}: snapshot.json`) };
  });
}

/** The bytes of a metadata file. */
export function writeMetadata(signed: TufJson, signatures: readonly TufSignature[]): Uint8Array {
  return Buffer.from(`${JSON.stringify({ signatures, signed }, undefined, 1)}\n`);
}

function read<S extends AnySigned>(
  bytes: Uint8Array,
  type: S['type'],
  what: string,
  readSigned: (json: TufObject, common: Signed) => S,
): Metadata<S> {
  const { signed, signatures } = parseTufJson(bytes, what, TUF_LIMITS.file[type]);
  const json = objectAt(signed, `${what}: the signed part`);
  if (json._type !== type) throw tufMalformed(what, `has the _type ${quoted(json._type)}, not "${type}"`);
  const specVersion = textAt(json.spec_version, `${what}: spec_version`);
  if (!/^1(?:\.(?:0|[1-9][0-9]{0,5})){1,2}$/.test(specVersion)) {
    throw tufMalformed(
      what,
      `follows version ${quoted(specVersion)} of the TUF specification, and this client knows 1.x`,
    );
  }
  const common = {
    version: positiveAt(json.version, `${what}: the version`),
    expires: timeAt(json.expires, `${what}: expires`),
    json,
  };
  return {
    signed: readSigned(json, common),
    signatures: signaturesAt(signatures, `${what}: "signatures"`),
    signedBytes: canonicalJson(json, what),
    bytes,
  };
}

function signaturesAt(value: unknown, what: string): TufSignature[] {
  const seen = new Set<string>();
  return arrayAt(value, what, TUF_LIMITS.keys).map((item) => {
    const json = objectAt(item, `${what}: a signature`);
    const keyid = textAt(json.keyid, `${what}: a keyid`);
    const sig = textAt(json.sig, `${what}: a sig`);
    if (!/^(?:[0-9a-fA-F]{2})*$/.test(sig)) throw tufMalformed(what, `has one by ${quoted(keyid)} that is not hex`);
    // Section 4.2: multiple signatures with the same keyid are not allowed.
    if (seen.has(keyid)) throw tufMalformed(what, `has two by the key ID ${quoted(keyid)}`);
    seen.add(keyid);
    return { keyid, sig };
  });
}

function delegationsAt(value: unknown, what: string): Delegations {
  const place = `${what}: "delegations"`;
  const json = objectAt(value, place);
  if (json.succinct_roles !== undefined)
    throw tufMalformed(place, 'has succinct_roles, which this client does not know');
  const keys = keysAt(json.keys, `${place}: "keys"`);
  const roles = new Map<string, DelegatedRole>();
  for (const item of arrayAt(json.roles, `${place}: "roles"`, Number.POSITIVE_INFINITY)) {
    const role = delegatedRoleAt(item, keys, place);
    if (roles.has(role.name)) throw tufMalformed(place, `names the role ${quoted(role.name)} twice`);
    roles.set(role.name, role);
  }
  return { keys, roles };
}

function delegatedRoleAt(value: unknown, keys: ReadonlyMap<string, TufKey>, what: string): DelegatedRole {
  const json = objectAt(value, `${what}: a role`);
  const name = textAt(json.name, `${what}: the name of a role`);
  if (!isDelegatedName(name))
    throw tufMalformed(what, `has a role called ${quoted(name)}, which is no name of a file or is taken`);
  const place = `${what}: the role ${name}`;
  const { terminating } = json;
  if (typeof terminating !== 'boolean') throw tufMalformed(place, 'does not say whether it is terminating');
  const texts = (given: unknown, of: string) =>
    given === undefined
      ? undefined
      : arrayAt(given, `${place}: ${of}`, Number.POSITIVE_INFINITY).map((text) => textAt(text, `${place}: ${of}`));
  const paths = texts(json.paths, 'paths');
  const pathHashPrefixes = texts(json.path_hash_prefixes, 'path_hash_prefixes');
  if (paths !== undefined && pathHashPrefixes !== undefined)
    throw tufMalformed(place, 'has both paths and path_hash_prefixes');
  return { name, terminating, paths, pathHashPrefixes, ...roleAt(json, keys, place) };
}
