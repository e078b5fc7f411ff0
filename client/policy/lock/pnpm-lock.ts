/** pnpm-lock.yaml of pnpm, lockfile versions 5 to 9. */
import { printable } from '../../../merkle/printable.ts';
import { parseYaml } from '../../../merkle/runtime/config/settings-file.ts';
import { isMapping } from '../../../merkle/runtime/config/settings-walk.ts';
import {
  addressProblem,
  checkLockSize,
  integrityDigests,
  type LockedPackage,
  type LockHosts,
  locked,
  lockedPurl,
  malformedLock,
} from './locked-package.ts';

/** `/@scope/a/1.0.0_peer`, `/@scope/a@1.0.0(peer@2)`, `@scope/a@1.0.0` */
const PLACE = /^\/?((?:@[^/@()]+\/)?[^/@()]+)[@/]([0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*)(?:_[^()]*|(?:\([^()]*\))*)$/;

/** @throws ClientError `lock` */
export function readPnpmLock(text: string, hosts: LockHosts): readonly LockedPackage[] {
  const { value, problems, lineOf } = parseYaml(text);
  if (problems.length > 0) throw malformedLock(`is not valid YAML: ${problems[0]}`);
  if (!isMapping(value)) throw malformedLock('is no mapping');
  const version = Number.parseInt(String(value.lockfileVersion), 10);
  if (!(version >= 5 && version <= 9)) {
    throw malformedLock(`is of version ${printable(String(value.lockfileVersion))}; read are 5 to 9`);
  }
  const { packages = {} } = value;
  if (!isMapping(packages)) throw malformedLock('has "packages" that is no mapping');
  const places = Object.keys(packages);
  checkLockSize(places.length);
  return places.map((place) => {
    const [, name, number] = PLACE.exec(place) ?? [];
    const purl = name === undefined || number === undefined ? undefined : lockedPurl('npm', name, number);
    const at = { name: purl ?? printable(place), line: lineOf(['packages', place]) };
    if (purl === undefined)
      return locked(at, 'it has no version of the registry: it comes from git, from a file or from an address');
    const entry = packages[place];
    const resolution = isMapping(entry) ? entry.resolution : undefined;
    const { integrity, tarball, type } = isMapping(resolution) ? resolution : {};
    if (type !== undefined)
      return locked(at, `it is of the kind ${printable(String(type))}, whose bytes the lock file does not fix`);
    if (tarball !== undefined) {
      const problem = addressProblem(String(tarball), hosts);
      if (problem !== undefined) return locked(at, problem);
    }
    return locked(at, typeof integrity === 'string' ? integrityDigests(integrity) : 'it has no integrity');
  });
}
