/**
 * Kills a witness with SIGKILL while many logs ask it, and looks after each start whether it still stands by every
 * cosignature that it gave: it must say a size that is no smaller, and refuse every other history from there.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { formatNote, openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { formatAddCheckpoint, originHash, parseCosignatures, parseTreeSize } from '../../merkle/witness.ts';
import { Logs } from '../../witness/logs.ts';
import type { GrownTree } from '../merkle/helpers.ts';
import { CLI } from '../support/serve.ts';
import { TestLog, treeOf } from './helpers.ts';

const SIZE = 2000;

interface Started {
  readonly url: string;
  readonly verifierKeys: readonly string[];
  kill(): Promise<void>;
}

export async function startWitness(dir: string, args: readonly string[] = []): Promise<Started> {
  const ports = ['--listen-port', '0', '--admin-port', '0', '--log-level', 'warn'];
  const child = spawn(
    process.execPath,
    [CLI, 'witness', '--json', '--name', 'kill.test/w', '--data', dir, ...ports, ...args],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_'))),
    },
  );
  const reap = () => child.kill('SIGKILL');
  process.once('exit', reap);
  const exited = once(child, 'close').finally(() => process.off('exit', reap));
  let text = '';
  for await (const part of child.stdout.setEncoding('utf8')) {
    text += part;
    if (text.endsWith('\n}\n')) break;
  }
  const { url, verifierKeys } = JSON.parse(text) as Started;
  return {
    url,
    verifierKeys,
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** What one log knows: the largest checkpoint that was cosigned, and where the witness may be. */
class Client {
  readonly log: TestLog;
  readonly fork: GrownTree;
  given = 0;
  at = 0;

  constructor(name: string) {
    this.log = new TestLog(name, treeOf(name, SIZE));
    this.fork = treeOf(`${name} fork`, SIZE);
  }

  /** Asks until the witness is gone. */
  async run(witness: Started): Promise<number> {
    const verifier = checkpointVerifier(parseVerifierKey(witness.verifierKeys[0]!), nodeNotePrimitives);
    for (let count = 0; ; ) {
      const size = Math.min(SIZE, this.at + 1 + Math.floor(Math.random() * 3));
      const reply = await this.#post(witness, this.log.request(this.at, size));
      if (reply === undefined) return count;
      if (reply.status === 409) {
        this.#learn(parseTreeSize(reply.body));
      } else if (reply.status === 200) {
        openNote(parseNote(formatNote(this.log.text(size), parseCosignatures(reply.body))), [verifier]);
        this.given = Math.max(this.given, size);
        this.at = size;
        count++;
      } else if (reply.status !== 503) {
        throw new Error(`${reply.status} ${reply.body}`);
      }
    }
  }

  /** What the witness says now, against all that it has given. */
  async check(witness: Started): Promise<void> {
    // An old size that cannot be right gives the size that it has.
    const reply = await this.#post(witness, this.log.request(SIZE, SIZE));
    if (reply?.status === 200) throw new Error('the witness signed from a size that it never had');
    this.#learn(parseTreeSize(reply!.body));
    if (this.at === 0) return;
    const served = await (await fetch(`${witness.url}/${originHash(this.log.origin)}/checkpoint`)).text();
    if (!served.startsWith(this.log.text(this.at)))
      throw new Error('the witness serves another checkpoint than it says');
    const other = encodeUtf8(this.log.note(this.log.text(this.at, this.fork.roots[this.at])));
    const refused = await this.#post(witness, formatAddCheckpoint({ oldSize: this.at, proof: [], note: other }));
    if (refused?.status !== 422) throw new Error(`another history was answered with ${refused?.status}`);
  }

  #learn(size: number): void {
    if (size < this.given) throw new Error(`size ${this.given} was cosigned, and the witness says ${size}`);
    this.at = size;
  }

  async #post(witness: Started, body: Uint8Array): Promise<{ status: number; body: string } | undefined> {
    try {
      const reply = await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body: Buffer.from(body) });
      return { status: reply.status, body: await reply.text() };
    } catch {
      return undefined;
    }
  }
}

/** Resolves with the number of cosignatures that were given. Throws where the witness does not stand by one. */
export async function killRounds(dir: string, rounds: number, logs = 8): Promise<number> {
  const clients = Array.from({ length: logs }, (_, i) => new Client(`log${i}.test`));
  const list = await Logs.open(join(dir, 'logs'));
  for (const { log } of clients) await list.add(log.vkey);
  let given = 0;
  for (let round = 0; round <= rounds; round++) {
    const witness = await startWitness(dir, ['--limits-evidence', '0', '--log-level', 'silent']);
    await Promise.all(clients.map((client) => client.check(witness)));
    if (round < rounds) {
      const runs = Promise.all(clients.map((client) => client.run(witness)));
      await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 200));
      await witness.kill();
      given += (await runs).reduce((sum, count) => sum + count, 0);
    } else {
      await witness.kill();
    }
  }
  return given;
}
