/** `stele trust add-key`, `remove-key` and `expire`: changes of the plan, and what follows from them. */
import { Command } from 'commander';
import { ClientError, usage } from '../../errors.ts';
import { type PlannedRole, plannedRole, type TrustPlan } from '../../trust/tuf/plan.ts';
import { parseExpiry, readPublicKeyOf } from '../../trust/tuf/plan-config.ts';
import { isTopLevelRole, TOP_LEVEL_ROLES } from '../../trust/tuf/role.ts';
import { changePlan, type StagedRole } from '../../trust/tuf/staging.ts';
import { print } from '../report.ts';
import { next } from './stage-command.ts';

interface KeyChange {
  readonly holder: string;
  readonly publicKey?: string;
  readonly role?: readonly string[];
  readonly threshold?: number;
  readonly json?: boolean;
}

const ADD_HELP = `
The public key is PEM, as \`stele keygen\` and \`openssl pkey -pubout\` write it. Several calls make one new root: it replaces
three of five keys at once after three add-key and three remove-key.

Examples:
  stele trust add-key repository --holder holder-6 --public-key holder-6.pub.pem --role root targets
  stele trust add-key repository --holder online-2 --public-key online-2.pub.pem --role snapshot timestamp`;

const REMOVE_HELP = `
Without --role the holder leaves all roles and the plan. A threshold that the others cannot reach is refused.

Examples:
  stele trust remove-key repository --holder holder-1
  stele trust remove-key repository --holder holder-2 --role targets --threshold 1`;

const EXPIRE_HELP = `
A new version with the same content gets a new expiry, and its holders sign it. --in changes the period in the plan too.
Snapshot and timestamp are signed by \`stele trust publish\` and \`stele trust serve\`: for them only the period changes.

Examples:
  stele trust expire repository --role root
  stele trust expire repository --role targets --in 30d`;

export function addKeyCommand(): Command {
  return withKeyOptions(new Command('add-key').description('Add a holder, or a key of a holder to more roles'))
    .option('--public-key <file>', 'the public key of a new holder, in PEM')
    .addHelpText('after', ADD_HELP)
    .action((dir: string, options: KeyChange) => change(dir, options, added));
}

export function removeKeyCommand(): Command {
  return withKeyOptions(new Command('remove-key').description('Take the key of a holder out of roles'))
    .addHelpText('after', REMOVE_HELP)
    .action((dir: string, options: KeyChange) => change(dir, options, removed));
}

export function expireCommand(): Command {
  return new Command('expire')
    .description('Stage a new version of a role with a new expiry')
    .argument('<dir>', 'the directory of the repository')
    .requiredOption('--role <role...>', 'root, targets, snapshot, timestamp, or a delegated role')
    .option('--in <period>', 'how long versions of the role are valid from now on: 12h, 90d', parseExpiry)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', EXPIRE_HELP)
    .action(
      async (dir: string, { role, in: expires, json }: { role: readonly string[]; in?: number; json?: boolean }) => {
        const renew = role.filter((one) => one !== 'snapshot' && one !== 'timestamp');
        const planned = (plan: TrustPlan) =>
          expires === undefined ? plan : changeRoles(plan, role, (one) => ({ ...one, expires }));
        if (renew.length < role.length && expires === undefined) {
          throw usage('snapshot and timestamp are renewed when they are published: give their period with --in');
        }
        report(dir, await changePlan(dir, Date.now(), planned, renew), json);
      },
    );
}

function withKeyOptions(command: Command): Command {
  return command
    .argument('<dir>', 'the directory of the repository')
    .requiredOption('--holder <name>', 'the name of the holder in the plan')
    .option('--role <role...>', 'root, targets, snapshot, timestamp, or a delegated role')
    .option('--threshold <number>', 'how many holders must sign for these roles from now on', (text) => {
      if (/^[1-9][0-9]{0,2}$/.test(text)) return Number(text);
      throw usage(`--threshold is a number from 1 on, and not "${text}"`);
    })
    .option('--json', 'print the result as JSON');
}

async function change(
  dir: string,
  options: KeyChange,
  apply: (plan: TrustPlan, options: KeyChange) => TrustPlan,
): Promise<void> {
  if (options.threshold !== undefined && options.role === undefined)
    throw usage('--threshold is for roles: give --role too');
  report(dir, await changePlan(dir, Date.now(), (plan) => apply(plan, options)), options.json);
}

function added(plan: TrustPlan, { holder, publicKey, role, threshold }: KeyChange): TrustPlan {
  if (role === undefined) throw usage('say which roles the key signs: --role');
  const known = plan.holders.get(holder);
  if (known === undefined && publicKey === undefined) {
    throw usage(`the plan knows no holder "${holder}": give the public key with --public-key`);
  }
  const key = publicKey === undefined ? known! : readPublicKeyOf(publicKey, '.');
  if (known !== undefined && known.fingerprint !== key.fingerprint) {
    throw usage(`${holder} has another key in the plan: add the new key as another holder, and remove the old one`);
  }
  const holders = new Map(plan.holders).set(holder, key);
  return changeRoles({ ...plan, holders }, role, (one, name) => {
    if (one.holders.includes(holder)) throw usage(`${holder} signs "${name}" already`);
    return { ...one, holders: [...one.holders, holder], threshold: threshold ?? one.threshold };
  });
}

function removed(plan: TrustPlan, { holder, role, threshold }: KeyChange): TrustPlan {
  if (!plan.holders.has(holder)) throw usage(`the plan knows no holder "${holder}"`);
  const all = [...TOP_LEVEL_ROLES, ...plan.delegations.map(({ name }) => name)];
  const inRoles = all.filter((name) => plannedRole(plan, name)!.holders.includes(holder));
  const left = changeRoles(plan, role ?? inRoles, (one, name) => {
    if (!one.holders.includes(holder)) throw usage(`${holder} does not sign "${name}"`);
    return { ...one, holders: one.holders.filter((other) => other !== holder), threshold: threshold ?? one.threshold };
  });
  if (all.some((name) => plannedRole(left, name)!.holders.includes(holder))) return left;
  return { ...left, holders: new Map([...plan.holders].filter(([name]) => name !== holder)) };
}

/** @throws ClientError `trust` for a role that the plan does not know */
function changeRoles(
  plan: TrustPlan,
  roles: readonly string[],
  apply: <T extends PlannedRole>(role: T, name: string) => T,
): TrustPlan {
  const unknown = roles.find((name) => plannedRole(plan, name) === undefined);
  if (unknown !== undefined) throw new ClientError('trust', `the plan knows no role "${unknown}"`);
  const top = Object.fromEntries(roles.filter(isTopLevelRole).map((name) => [name, apply(plan[name], name)]));
  const delegations = plan.delegations.map((one) => (roles.includes(one.name) ? apply(one, one.name) : one));
  return { ...plan, ...top, delegations };
}

function report(dir: string, staged: readonly StagedRole[], json: boolean | undefined): void {
  print(json, { dir, staged }, ['The plan is changed.', ...next(dir, staged)]);
}
