/**
 * The directory of a ceremony. It travels between the holders, such as on a stick; nothing in it is secret.
 *
 *   ceremony.yaml              the plan, written by people
 *   package.sha256             the files of the package that runs the ceremony, as `sha256sum` lists them
 *   steps.jsonl                the steps, one a line: what counts
 *   1.root.json                the root metadata, with the signatures of the holders
 *   repository/                a TUF repository that begins with this root
 *   ca/                        the root of the certificate authority, if one was made (ca-store.ts)
 *   transcript.json            the statement about the root, with every step
 *   transcript.dsse.json       the same with the signatures of the holders
 *   transcript.sigstore.jsonl  the same with the proofs of the log, a bundle for each holder who signed
 *
 * Each file is written whole or not at all, and a step is done once its line is durable. A step that died before that is done
 * again.
 */
import { join } from 'node:path';
import { concat, encodeUtf8 } from '../../../merkle/bytes.ts';
import { createFileDurable, readFileIfThere, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { withDirLock } from '../../../merkle/runtime/disk/lock.ts';
import { ClientError } from '../../errors.ts';
import { broken, type Ceremony, ceremonyOf } from './ceremony.ts';
import { MAX_STEP, MAX_STEPS, parseSteps, type Step, stepLine } from './steps.ts';

export const CEREMONY_FILES = {
  plan: 'ceremony.yaml',
  package: 'package.sha256',
  steps: 'steps.jsonl',
  root: '1.root.json',
  repository: 'repository',
  authority: 'ca',
  transcript: 'transcript.json',
  envelope: 'transcript.dsse.json',
  bundles: 'transcript.sigstore.jsonl',
} as const;

const NEWLINE = encodeUtf8('\n');

export class CeremonyStore {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  path(name: keyof typeof CEREMONY_FILES): string {
    return join(this.dir, CEREMONY_FILES[name]);
  }

  /** Runs `work` while no other process works in the directory. @throws RuntimeError `locked`, `file` */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    return await withDirLock(this.dir, work);
  }

  /** @throws ClientError `ceremony` where the file is damaged; RuntimeError `file` */
  async steps(): Promise<Step[]> {
    const bytes = await this.read('steps', MAX_STEPS * (MAX_STEP + 1));
    if (bytes === undefined || bytes.length === 0) return [];
    const text = Buffer.from(bytes);
    if (text.at(-1) !== NEWLINE[0])
      throw broken(`${this.path('steps')} does not end with a whole line: it was changed`);
    const lines: Uint8Array[] = [];
    for (let start = 0; start < text.length; ) {
      const end = text.indexOf(NEWLINE, start);
      lines.push(Uint8Array.from(text.subarray(start, end)));
      start = end + 1;
    }
    return parseSteps(lines);
  }

  /** @throws ClientError `ceremony`: no ceremony began here, or its steps are damaged or break a rule */
  async ceremony(): Promise<{ readonly steps: readonly Step[]; readonly ceremony: Ceremony }> {
    const steps = await this.steps();
    if (steps.length === 0)
      throw new ClientError('ceremony', `no ceremony began in ${this.dir}: \`stele ceremony begin\``);
    return { steps, ceremony: ceremonyOf(steps) };
  }

  /** Adds a step that follows from `steps`. The caller has checked its rule, and holds the lock. @throws RuntimeError `file` */
  async append(steps: readonly Step[], step: Step): Promise<void> {
    const lines = [...steps, step].flatMap((one) => [stepLine(one), NEWLINE]);
    await writeFileDurable(this.path('steps'), concat(...lines));
  }

  async read(name: keyof typeof CEREMONY_FILES, maxBytes: number): Promise<Uint8Array | undefined> {
    return await readFileIfThere(this.path(name), maxBytes);
  }

  async write(name: keyof typeof CEREMONY_FILES, bytes: Uint8Array): Promise<void> {
    await writeFileDurable(this.path(name), bytes);
  }

  /** Resolves with false where the file is there, which stays as it is. */
  async create(name: keyof typeof CEREMONY_FILES, bytes: Uint8Array): Promise<boolean> {
    return await createFileDurable(this.path(name), bytes);
  }
}
