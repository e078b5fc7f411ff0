/**
 * Commits and annotated tags of git, as `git cat-file commit|tag` prints them (git 2.39: commit.c, tag.c, gpg-interface.c, and
 * Documentation/gitformat-signature.txt).
 *
 *   tree <id>                              object <id>
 *   parent <id>                …           type commit
 *   author <name> <email> <time> <zone>    tag v1.0
 *   committer …                            tagger <name> <email> <time> <zone>
 *   gpgsig -----BEGIN SSH SIGNATURE-----
 *    …                                     the message
 *    -----END SSH SIGNATURE-----           -----BEGIN SSH SIGNATURE-----
 *                                          …
 *   the message                            -----END SSH SIGNATURE-----
 *
 * The id is the hash of `commit <length>\0` and the bytes. Its length names the hash of the repository: SHA-1 or SHA-256. What
 * is signed is the object without its signature. A repository of SHA-256 has the signature of a commit in `gpgsig-sha256`; the
 * header of the other hash signs another form of the object, which nobody has here, so it counts as no signature.
 */
import { createHash } from 'node:crypto';
import { concat, encodeHex } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';

/** Longest object that is read, in bytes. A merge tag of a large release has a few thousand. */
const MAX_GIT_OBJECT = 1024 * 1024;
const MAX_HEADERS = 1000;

/** Of the repository. */
type GitHash = 'sha1' | 'sha256';

interface GitPerson {
  /** Texts of the signer. */
  readonly name: string;
  readonly email: string;
  /** Milliseconds since 1970, as the signer claims. */
  readonly time: number;
}

interface SignedGitObject {
  /** Lower-case hex. */
  readonly id: string;
  readonly hash: GitHash;
  /** The armored signature, or undefined for an object without one. */
  readonly signature: string | undefined;
  /** The bytes that the signature is over. */
  readonly signed: Uint8Array;
}

interface GitCommit extends SignedGitObject {
  readonly kind: 'commit';
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: GitPerson;
  readonly committer: GitPerson;
}

interface GitTag extends SignedGitObject {
  readonly kind: 'tag';
  /** Id of the tagged object. */
  readonly object: string;
  /** `commit`, `tree`, `blob` or `tag`. */
  readonly type: string;
  /** The name inside the object: a ref of another name may lead to it. */
  readonly name: string;
  readonly tagger: GitPerson | undefined;
}

export type GitObject = GitCommit | GitTag;

const LF = 0x0a;
const SPACE = 0x20;
const SIGNATURE_HEADERS = { sha1: 'gpgsig', sha256: 'gpgsig-sha256' } as const;
const BEGIN = /^-----BEGIN (?:SSH SIGNATURE|SIGNED MESSAGE|PGP SIGNATURE|PGP MESSAGE)-----$/;
const PERSON = /^([^<>\n]*)<([^<>\n]*)> ([0-9]{1,15}) [+-][0-9]{4}$/;

/** Whether the bytes begin as a commit or a tag does: a quick look before `parseGitObject`. */
export function looksLikeGit(bytes: Uint8Array): boolean {
  return /^(?:tree|object) (?:[0-9a-f]{40}|[0-9a-f]{64})\n/.test(latin1(bytes.subarray(0, 80)));
}

/**
 * Reads one object, and verifies nothing.
 *
 * @param bytes the object without `commit <length>\0`, at most 1 MiB
 * @throws MerkleError `bad-git`
 */
export function parseGitObject(bytes: Uint8Array): GitObject {
  if (bytes.length > MAX_GIT_OBJECT) throw badGit(`has ${bytes.length} bytes; the limit is ${MAX_GIT_OBJECT}`);
  // Git itself stops at a NUL byte in places, so such an object says different things to different readers.
  if (bytes.includes(0)) throw badGit('has a NUL byte');
  const { headers, body } = readHeaders(bytes);
  const first = headers[0]?.name;
  if (first === 'tree') return readCommit(bytes, headers);
  if (first === 'object') return readTag(bytes, headers, body);
  throw badGit('begins neither as a commit nor as a tag');
}

interface Header {
  readonly name: string;
  /** Of the first line. */
  readonly value: string;
  /** With the lines that continue it, without the space in front of each, and without the last LF. */
  readonly whole: string;
  readonly start: number;
  readonly end: number;
}

/** @returns `body` is the offset of the message */
function readHeaders(bytes: Uint8Array): { readonly headers: Header[]; readonly body: number } {
  const headers: Header[] = [];
  let at = 0;
  while (at < bytes.length && bytes[at] !== LF) {
    const start = at;
    const lines: string[] = [];
    do {
      const end = bytes.indexOf(LF, at);
      if (end < 0) throw badGit('has a header line without an end');
      lines.push(latin1(bytes.subarray(at, end)));
      at = end + 1;
    } while (bytes[at] === SPACE);
    const line = lines[0]!;
    const space = line.indexOf(' ');
    const name = line.slice(0, space);
    if (space < 1 || !/^[!-~]+$/.test(name)) throw badGit(`has a header line that is malformed: "${shown(line)}"`);
    const value = line.slice(space + 1);
    headers.push({
      name,
      value,
      whole: [value, ...lines.slice(1).map((one) => one.slice(1))].join('\n'),
      start,
      end: at,
    });
    if (headers.length > MAX_HEADERS) throw badGit(`has more than ${MAX_HEADERS} headers`);
  }
  if (at === bytes.length) throw badGit('has no empty line after its headers');
  return { headers, body: at + 1 };
}

function readCommit(bytes: Uint8Array, headers: readonly Header[]): GitCommit {
  const fields = inOrder(headers);
  const tree = fields.one('tree');
  const hash = hashOfId(tree);
  const parents = fields.many('parent').map((id) => sameHash(id, hash));
  const author = person(fields.one('author'), 'author');
  const committer = person(fields.one('committer'), 'committer');
  const rest = fields.rest();
  for (const name of ['tree', 'parent', 'author', 'committer']) {
    if (rest.some((header) => header.name === name)) throw badGit(`has the header ${name} out of its place`);
  }
  for (const { name, whole } of rest) if (name === 'mergetag') checkMergeTag(whole, parents);
  return {
    kind: 'commit',
    tree,
    parents,
    author,
    committer,
    id: idOf('commit', hash, bytes),
    hash,
    signature: signatureHeader(rest, SIGNATURE_HEADERS[hash]),
    signed: without(bytes, rest),
  };
}

/** The tag that a merge commit keeps of what it merged. It says nothing of the commit itself. */
function checkMergeTag(whole: string, parents: readonly string[]): void {
  const bytes = Uint8Array.from(`${whole}\n`, (char) => char.charCodeAt(0));
  const { headers, body } = readHeaders(bytes);
  // Only a tag: a commit in the place of one could hold a commit, and so on, each of them read anew.
  const tag = headers[0]?.name === 'object' ? readTag(bytes, headers, body) : undefined;
  if (tag === undefined || (tag.type === 'commit' && !parents.slice(1).includes(tag.object))) {
    throw badGit('has a mergetag that is about none of the commits that it merged');
  }
}

function readTag(bytes: Uint8Array, headers: readonly Header[], body: number): GitTag {
  const fields = inOrder(headers);
  const object = fields.one('object');
  const hash = hashOfId(object);
  const type = fields.one('type');
  if (!['commit', 'tree', 'blob', 'tag'].includes(type)) throw badGit(`tags an object of the type "${shown(type)}"`);
  const name = utf8(fields.one('tag'));
  const [tagger, ...more] = fields.many('tagger');
  const rest = fields.rest();
  const known = new Set<string>(Object.values(SIGNATURE_HEADERS));
  const strange = more.length > 0 ? 'tagger' : rest.find((header) => !known.has(header.name))?.name;
  if (strange !== undefined) throw badGit(`has the header ${shown(strange)} out of its place`);
  const signatureAt = endSignature(bytes, body);
  return {
    kind: 'tag',
    object,
    type,
    name,
    tagger: tagger === undefined ? undefined : person(tagger, 'tagger'),
    id: idOf('tag', hash, bytes),
    hash,
    signature: signatureAt === undefined ? undefined : latin1(bytes.subarray(signatureAt)),
    signed: without(bytes.subarray(0, signatureAt), rest),
  };
}

/** Where the signature at the end of a tag begins. Git looks for the last such line; here there is at most one. */
function endSignature(bytes: Uint8Array, body: number): number | undefined {
  let found: number | undefined;
  for (let at = body; at < bytes.length; ) {
    const end = bytes.indexOf(LF, at);
    const next = end < 0 ? bytes.length : end + 1;
    if (bytes[at] === 0x2d && BEGIN.test(latin1(bytes.subarray(at, end < 0 ? bytes.length : end)))) {
      if (found !== undefined) throw badGit('has two signatures at its end');
      found = at;
    }
    at = next;
  }
  return found;
}

function signatureHeader(headers: readonly Header[], name: string): string | undefined {
  for (const each of Object.values(SIGNATURE_HEADERS)) {
    if (headers.filter((header) => header.name === each).length > 1) throw badGit(`has the header ${each} twice`);
  }
  return headers.find((header) => header.name === name)?.whole;
}

/** The bytes without both headers of signatures, as git leaves them out. */
function without(bytes: Uint8Array, headers: readonly Header[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const { name, start, end } of headers) {
    if (name !== 'gpgsig' && name !== 'gpgsig-sha256') {
      // Git leaves out each header whose name begins so. One that is not known would be unsigned text.
      if (name.startsWith('gpgsig')) throw badGit(`has the header ${shown(name)}, which git does not sign`);
      continue;
    }
    parts.push(bytes.subarray(from, start));
    from = end;
  }
  return concat(...parts, bytes.subarray(from));
}

/** Takes headers in the order in which git writes them. */
function inOrder(headers: readonly Header[]) {
  let at = 0;
  const single = ({ name, value, whole }: Header): string => {
    if (value !== whole) throw badGit(`has the header ${name} over several lines`);
    return value;
  };
  const many = (name: string): string[] => {
    const values: string[] = [];
    while (headers[at]?.name === name) values.push(single(headers[at++]!));
    return values;
  };
  return {
    many,
    one(name: string): string {
      const [value, ...more] = many(name);
      if (value === undefined || more.length > 0) throw badGit(`does not have the header ${name} once, in its place`);
      return value;
    },
    rest: () => headers.slice(at),
  };
}

function hashOfId(id: string): GitHash {
  if (/^[0-9a-f]{40}$/.test(id)) return 'sha1';
  if (/^[0-9a-f]{64}$/.test(id)) return 'sha256';
  throw badGit(`names an object by "${shown(id)}", which is no id`);
}

function sameHash(id: string, hash: GitHash): string {
  if (hashOfId(id) !== hash) throw badGit('names objects of two kinds of repository');
  return id;
}

function idOf(kind: GitObject['kind'], hash: GitHash, bytes: Uint8Array): string {
  return encodeHex(createHash(hash).update(`${kind} ${bytes.length}\0`).update(bytes).digest());
}

function person(text: string, header: string): GitPerson {
  const [, name, email, seconds] = PERSON.exec(text) ?? [];
  if (name === undefined) throw badGit(`has a malformed header ${header}`);
  return { name: utf8(name.trim()), email: utf8(email!), time: Number(seconds) * 1000 };
}

/** Text of bytes that were read as Latin-1. Git asks for no encoding, so what is no UTF-8 stays readable. */
function utf8(text: string): string {
  return new TextDecoder().decode(Uint8Array.from(text, (char) => char.charCodeAt(0)));
}

/** One character a byte. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function shown(text: string): string {
  return printable(text.slice(0, 60));
}

function badGit(why: string): MerkleError {
  return new MerkleError('bad-git', `the git object ${why}`);
}
