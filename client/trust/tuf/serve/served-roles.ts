/** The roles of a repository as clients see them now. */
import { ClientError } from '../../../errors.ts';
import { statusOf } from '../repository-status.ts';
import type { ServedRole } from './types.ts';

/**
 * Root, targets, snapshot and timestamp first, then the roles that targets delegate to.
 * @throws ClientError `trust` where nothing is published; as `statusOf`
 */
export async function servedRoles(directory: string, now: number): Promise<readonly ServedRole[]> {
  const { roles } = await statusOf(directory, now);
  const served = roles.flatMap(({ role, published }) =>
    published === undefined ? [] : [{ name: role, ...published }],
  );
  if (served.some(({ name }) => name === 'timestamp')) return served;
  throw new ClientError('trust', `nothing of ${directory} is published yet: \`stele trust publish\` does that`);
}
