/**
 * What `stele log rotate` takes from the data directory of `stele up` where it is told nothing else: the policy of its witnesses,
 * its TUF repository with the keys, and the witnesses themselves, whose operator is the same.
 */
import { join } from 'node:path';
import { parsePolicy } from '../../../merkle/policy.ts';
import { isThere } from '../../../merkle/runtime/disk/files.ts';
import { type TrustPlace, trustDirectory, trustRepository } from '../rotate/trust-place.ts';
import { policyOf, WITNESSES, witnessDir } from './prepare.ts';
import { upTrustDir, upTrustKey } from './up-trust.ts';

interface UpParts {
  /** File of the policy. */
  readonly policy: string;
  /** Where the first shard is, as the files for others say. */
  readonly url: string | undefined;
  readonly place: TrustPlace;
  /** Has the witnesses cosign a further log, whether they run or not. */
  readonly tellWitnesses: (verifierKeys: readonly string[]) => Promise<void>;
}

/** The monitor of `stele up` has a configuration of its own. */
const NOT_FOR_UP = 'monitor.yaml';

/** Undefined where the directory is not one of `stele up`. */
export async function upParts(data: string): Promise<UpParts | undefined> {
  const repository = upTrustDir(data);
  const [targets, online] = [upTrustKey(repository, 'targets'), upTrustKey(repository, 'online')];
  const policy = policyOf(data);
  if (!(await isThere(targets)) || !(await isThere(policy))) return undefined;
  const published = trustRepository(repository, { targets: [{ file: targets }], online: [{ file: online }] });
  const files = trustDirectory(join(data, 'trust'));
  const forOthers = await files.read('policy');
  const place: TrustPlace = {
    ...published,
    put: async (all, now) => {
      const own = all.filter(({ name }) => name !== NOT_FOR_UP);
      return (await published.put(all, now)) ?? (await files.put(own, now));
    },
  };
  // The oldest shard comes first.
  const url = forOthers && parsePolicy(forOthers).logs[0]?.url;
  return { policy, url, place, tellWitnesses: (verifierKeys) => tellWitnesses(data, verifierKeys) };
}

async function tellWitnesses(data: string, verifierKeys: readonly string[]): Promise<void> {
  const witness = await import('../../../witness/main.ts');
  for (let number = 1; number <= WITNESSES; number++) {
    const dir = witnessDir(data, number);
    if (!(await isThere(join(dir, 'witness.json')))) continue;
    const config = witness.loadConfig({ flags: { data: dir } });
    for (const verifierKey of verifierKeys) await witness.addLog(config, verifierKey);
  }
}
