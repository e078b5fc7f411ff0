/** A repository of the maker, a mirror that serves it, and local trust that follows it, in directories of their own. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTrust } from '../../../../client/trust/tuf/load-trust.ts';
import { TrustStore } from '../../../../client/trust/tuf/trust-store.ts';
import { updateTrust, useTrust } from '../../../../client/trust/tuf/update.ts';
import { TufMaker } from '../../../support/tuf-maker.ts';
import { startMirror, type TufMirror } from '../../../support/tuf-mirror.ts';

export const DAY = 86_400_000;

export class Followed {
  readonly maker: TufMaker;
  readonly mirror: TufMirror;
  readonly store: TrustStore;

  private constructor(maker: TufMaker, mirror: TufMirror) {
    this.maker = maker;
    this.mirror = mirror;
    this.store = new TrustStore(join(mkdtempSync(join(tmpdir(), 'stele-trust-')), 'trust'));
  }

  /** A repository with a policy and a trusted root (of no meaning), which nobody follows yet. */
  static async start(maker = new TufMaker()): Promise<Followed> {
    maker.target('policy', 'first\n');
    maker.target('trusted_root.json', '{}\n');
    maker.publish();
    return new Followed(maker, await startMirror(maker.files));
  }

  async use(root: Uint8Array = this.maker.root()): Promise<void> {
    await useTrust(this.store, this.mirror.url, root, { timeoutMs: 20_000 });
  }

  async update(options: Parameters<typeof updateTrust>[1] = {}): Promise<boolean> {
    return await updateTrust(this.store, { timeoutMs: 20_000, ...options });
  }

  /** A new policy, published. */
  change(policy: string): void {
    this.maker.target('policy', policy);
    this.maker.publish();
  }

  /** The policy as commands get it, offline. */
  async policy(options: Parameters<typeof loadTrust>[1] = {}): Promise<string | undefined> {
    const bytes = loadTrust(this.store, options)?.target('policy');
    return bytes && Buffer.from(bytes).toString();
  }

  async close(): Promise<void> {
    await this.mirror.close();
    rmSync(join(this.store.dir, '..'), { recursive: true });
  }
}

/** Every file below a directory with its content: two equal ones say that nothing changed. Without the lock of updates. */
export function contentOf(dir: string): Record<string, string> {
  if (statSync(dir, { throwIfNoEntry: false }) === undefined) return {};
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => !/^(?:lock|owner)/.test(name));
  const plain = files.filter((name) => statSync(join(dir, name)).isFile()).sort();
  return Object.fromEntries(plain.map((name) => [name, readFileSync(join(dir, name), 'latin1')]));
}
