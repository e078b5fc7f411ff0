/** `stele trust status`: who has signed, who is missing, and what expires when. */
import { Command } from 'commander';
import { counted } from '../../formats/counted.ts';
import { tufTime } from '../../trust/tuf/metadata-fields.ts';
import { type RepositoryStatus, type RoleStatus, statusOf } from '../../trust/tuf/repository-status.ts';
import { print } from '../report.ts';

const HELP = `
Exit status: 0 where all is published, signed and valid; 1 where something is expired, waits for a signature, or is signed
and not published; 2 where there is no repository.

Examples:
  stele trust status repository
  stele trust status repository --json`;

export function statusCommand(): Command {
  return new Command('status')
    .description('Say who has signed what is staged, who is missing, and what expires when')
    .argument('<dir>', 'the directory of the repository')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(async (dir: string, { json }: { readonly json?: boolean }) => {
      const now = Date.now();
      const status = await statusOf(dir, now);
      const { todo } = status;
      print(json, { ok: todo.length === 0, dir, ...asJson(status) }, [
        ...status.roles.slice(0, 40).flatMap((role) => lines(role, now)),
        ...(status.roles.length > 40 ? [`and ${status.roles.length - 40} more roles (--json has all)`] : []),
        counted(status.targets.length, 'target'),
        ...(todo.length > 0 ? ['', 'To do:', ...todo.slice(0, 20).map((text) => `  ${text}`)] : ['Nothing waits.']),
        ...(todo.length > 20 ? [`  and ${todo.length - 20} more`] : []),
      ]);
      if (todo.length > 0) process.exitCode = 1;
    });
}

function lines({ role, published, staged }: RoleStatus, now: number): string[] {
  const out = [
    published === undefined
      ? `${role}: not published`
      : `${role}: version ${published.version}, ${until(published.expires, now)}${published.validity === 'soon' ? ' SOON' : ''}`,
  ];
  if (staged === undefined) return out;
  out.push(`  staged: version ${staged.version}, ${until(staged.expires, now)}`);
  for (const [counts, word] of [
    [staged.needed, 'signed'],
    [staged.further, 'also signed'],
  ] as const) {
    for (const { by, threshold, signed, missing } of counts) {
      const by_ = signed.length > 0 ? ` (${signed.join(', ')})` : '';
      out.push(
        `  ${word} by ${signed.length} of ${threshold} that ${by} needs${by_}${missing.length > 0 ? `; missing: ${missing.join(', ')}` : ''}`,
      );
    }
  }
  return out;
}

function until(expires: number, now: number): string {
  const days = Math.floor((expires - now) / 86_400_000);
  if (expires <= now) return `EXPIRED ${tufTime(expires)}`;
  return `expires ${tufTime(expires)} (in ${days > 0 ? counted(days, 'day') : counted(Math.ceil((expires - now) / 3_600_000), 'hour')})`;
}

function asJson({ roles, targets, todo }: RepositoryStatus): object {
  const dated = <T extends { readonly expires: number }>(value: T) => ({ ...value, expires: tufTime(value.expires) });
  return {
    roles: roles.map(({ role, published, staged }) => ({
      role,
      ...(published && { published: dated(published) }),
      ...(staged && { staged: dated(staged) }),
    })),
    targets,
    todo,
  };
}
