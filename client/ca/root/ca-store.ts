/**
 * The directory of a root: what it has certified. Nothing in it is secret, and the root's machine needs no network.
 *
 *   root.pem, root.pub.pem            the certificate of the root, and its public key
 *   teams/TEAM/N.sigstore.json        the delegation of the team's authority N, signed by the root: what counts
 *   teams/TEAM/N.cer                  the certificate of that authority (DER), which the delegation is about
 *   teams/TEAM/N.chain.pem            the same and the root, PEM: for `stele ca serve` and the trusted root
 *
 * Each file is written whole or not at all. An authority is certified once its delegation is durable; the other two files
 * follow from it, and the next command writes them where a crash came between.
 */
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatPem, parsePem, pemBytes } from '../../../merkle/pem.ts';
import {
  createFileDurable,
  makeDirDurable,
  namesIn,
  readFileIfThere,
  writeFileDurable,
} from '../../../merkle/runtime/disk/files.ts';
import { withDirLock } from '../../../merkle/runtime/disk/lock.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { ClientError } from '../../errors.ts';
import { formatPublicKeyPem } from '../../formats/key.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { type Delegation, readDelegation } from './delegation.ts';

const MAX_FILE = 256 * 1024;
const MAX_TEAMS = 1_024;
const MAX_AUTHORITIES = 256;
/** A team's name is the name of a directory. */
const TEAM = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
const DELEGATION = /^([1-9][0-9]{0,2})\.sigstore\.json$/;

export class CaStore {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** Runs `work` while no other process works in the directory. @throws RuntimeError `locked`, `file` */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    return await withDirLock(this.dir, work);
  }

  /** The path of a file of the team's authority. */
  path(team: string, number: number, suffix: 'sigstore.json' | 'cer' | 'chain.pem'): string {
    return join(this.dir, 'teams', team, `${number}.${suffix}`);
  }

  get rootPath(): string {
    return join(this.dir, 'root.pem');
  }

  /** Undefined where there is none yet. @throws ClientError `malformed`; RuntimeError `file` */
  async rootIfThere(): Promise<Certificate | undefined> {
    const file = await readFileIfThere(this.rootPath, MAX_FILE);
    if (file === undefined) return undefined;
    return withClientErrors(() => {
      const [block, ...more] = parsePem(decodeUtf8(file));
      if (block?.label !== 'CERTIFICATE' || more.length > 0) {
        throw new ClientError('malformed', `${this.rootPath} does not hold one certificate in PEM`);
      }
      return parseCertificate(pemBytes(block));
    });
  }

  /** @throws ClientError `ca` where there is none */
  async root(): Promise<Certificate> {
    const root = await this.rootIfThere();
    if (root !== undefined) return root;
    throw new ClientError('ca', `there is no root in ${this.dir}: \`stele ca root\` or a ceremony makes it`);
  }

  /** Writes a root; false where one is there, which stays. */
  async createRoot(der: Uint8Array): Promise<boolean> {
    const isNew = await createFileDurable(this.rootPath, encodeUtf8(formatPem('CERTIFICATE', der)));
    const { spki } = await this.root();
    await writeFileDurable(join(this.dir, 'root.pub.pem'), encodeUtf8(formatPublicKeyPem({ spki })));
    return isNew;
  }

  /**
   * All delegations, by team in the order of their numbers.
   * @throws ClientError `ca` for one that is missing, or in another place than it says; and as `readDelegation`
   */
  async delegations(root: Certificate): Promise<ReadonlyMap<string, readonly Delegation[]>> {
    const found = new Map<string, Delegation[]>();
    const teams = (await namesIn(join(this.dir, 'teams'))).filter((name) => TEAM.test(name)).sort();
    if (teams.length > MAX_TEAMS) throw new ClientError('ca', `${this.dir} has more than ${MAX_TEAMS} teams`);
    for (const team of teams) {
      const names = await namesIn(join(this.dir, 'teams', team));
      const numbers = names
        .flatMap((name) => DELEGATION.exec(name)?.[1] ?? [])
        .map(Number)
        .sort((a, b) => a - b);
      const list: Delegation[] = [];
      for (const [at, number] of numbers.entries()) {
        const path = this.path(team, number, 'sigstore.json');
        const one = readDelegation((await readFileIfThere(path, MAX_FILE)) ?? new Uint8Array(0), root);
        if (one.team !== team || one.number !== number || number !== at + 1) {
          throw new ClientError(
            'ca',
            `${path} is the delegation ${one.number} of "${one.team}", or one before it is missing`,
          );
        }
        list.push(one);
      }
      if (list.length > 0) found.set(team, list);
    }
    return found;
  }

  /** Makes a delegation durable, and the files that follow from it. @param bundle none where it is durable already */
  async keep({ team, number, authority }: Delegation, root: Certificate, bundle?: Uint8Array): Promise<void> {
    if (number > MAX_AUTHORITIES)
      throw new ClientError('ca', `"${team}" has ${MAX_AUTHORITIES} authorities: make another team`);
    await makeDirDurable(join(this.dir, 'teams'));
    await makeDirDurable(join(this.dir, 'teams', team));
    if (bundle !== undefined) await writeFileDurable(this.path(team, number, 'sigstore.json'), bundle);
    await writeFileDurable(this.path(team, number, 'cer'), authority.der);
    const chain = [authority.der, root.der].map((der) => formatPem('CERTIFICATE', der)).join('');
    await writeFileDurable(this.path(team, number, 'chain.pem'), encodeUtf8(chain));
  }
}

/** @throws ClientError `usage` */
export function checkTeamName(team: string): void {
  if (TEAM.test(team)) return;
  throw new ClientError(
    'usage',
    `"${team.slice(0, 80)}" cannot name a team: use small letters, digits, and ".", "_", "-" between them`,
  );
}
