/**
 * The `sinks:` of monitor.yaml (docs/monitor.md has an example): each type has a schema, in the terms of
 * merkle/runtime/config/values.ts. `readSink` checks one item of the list, and `openSinks` takes the result.
 */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { type StaticDecode, Type } from 'typebox';
import type { SettingPath } from '../../../merkle/runtime/config/settings-file.ts';
import { isMapping, type SettingsWalk } from '../../../merkle/runtime/config/settings-walk.ts';
import { choice, count, duration, list, path, text, variable } from '../../../merkle/runtime/config/values.ts';
import { isAllowedRange } from '../../../merkle/runtime/service/address-guard.ts';
import { ALERT_KINDS } from '../types.ts';

const opt = Type.Optional;
const CLOSED = { additionalProperties: false } as const;
const DAILY = /^([01][0-9]|2[0-3]):[0-5][0-9]$/;
const HOST = /^[A-Za-z0-9.:_-]{1,253}$/;
const MAIL_LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const DNS_LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const SINK_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** The settings of all types. `name` is the key of the delivery state: a renamed sink begins with an empty queue. */
const common = (defaultName: string) => ({
  name: text(SINK_NAME, '1 to 63 letters, digits, ".", "_" and "-"', {
    description: 'Its name in metrics and messages, and of what is queued for it; no two sinks share one.',
    default: defaultName,
    danger: 'Alerts that wait for a sink are dropped, with a message, when no sink has that name any more.',
  }),
  severity: choice(['info', 'alert', 'critical'], {
    description: 'The least severe alert that is delivered here.',
    default: 'info',
  }),
  kinds: opt(
    list((kind) => ALERT_KINDS.some((one) => one === kind), `kinds of alerts: ${ALERT_KINDS.join(', ')}`, {
      description: 'Only alerts of these kinds are delivered here.',
      defaultText: 'all',
    }),
  ),
  digest: opt(
    text(DAILY, 'a time of day in UTC, such as 08:00', {
      description: 'Collect alerts and deliver them once a day at this time (UTC). Critical ones go at once.',
    }),
  ),
});

const caFile = opt(
  path({ description: 'Certificates (PEM) that the server is checked against in place of the public ones.' }),
);

const timeout = (about: string, standard: string) => duration('1s', '5m', { description: about, default: standard });

/** The place of a secret. The sink reads it for each use, so that a changed file needs no restart. */
const secretSource = Type.Union([
  Type.Object(
    { file: path({ description: 'File with the secret in one line, readable by its owner alone (0600).' }) },
    CLOSED,
  ),
  Type.Object({ env: variable({ description: 'Environment variable with the secret.' }) }, CLOSED),
]);

const WebhookSchema = Type.Object(
  {
    type: Type.Literal('webhook'),
    ...common('webhook'),
    url: Type.Refine(
      Type.String({
        maxLength: 2048,
        allowed: 'an https URL (or http, to an address that `allow` lists) without user name and fragment',
        sensitive: true,
      }),
      isWebhookUrl,
    ),
    secrets: Type.Array(secretSource, {
      kind: 'list',
      sensitive: true,
      minItems: 1,
      maxItems: 4,
      allowed:
        'one to four of { file: PATH } or { env: NAME }: the request is signed with each, so that they can be changed one after the other',
    }),
    allow: list(isAllowedRange, 'IP addresses, ranges (10.0.0.0/8), or the words loopback and private', {
      description: 'Addresses that are not public and may be connected to all the same.',
      default: [],
      danger: 'Whoever controls the name in the URL can point it at any address in here.',
    }),
    caFile,
    timeout: timeout('The receiver must have answered in this time.', '10s'),
  },
  CLOSED,
);

const EmailSchema = Type.Object(
  {
    type: Type.Literal('email'),
    ...common('email'),
    host: text(HOST, 'a host name or an IP address', {
      description:
        'The mail server that takes the messages. Mail needs the package nodemailer (`npm install nodemailer`).',
    }),
    port: opt(
      count('port', 1, 65_535, {
        description: 'Its port.',
        defaultText: '465, with `tls: starttls` 587, with `tls: none` 25',
      }),
    ),
    tls: choice(['implicit', 'starttls', 'none'], {
      description: 'TLS from the start, or by STARTTLS, without which nothing is sent; or none.',
      default: 'implicit',
      danger: 'With none, messages cross in the clear; a user name and a password are then refused.',
    }),
    caFile,
    user: opt(
      text(/^[!-~]{1,255}$/, '1 to 255 printable ASCII characters', { description: 'User name at the server.' }),
    ),
    passwordFile: opt(path({ description: 'File with the password in one line, readable by its owner alone (0600).' })),
    passwordEnv: opt(variable({ description: 'Environment variable with the password.' })),
    from: Type.Refine(
      Type.String({ maxLength: 254, allowed: 'a mail address in ASCII, such as monitor@example.com' }),
      isMailAddress,
    ),
    to: Type.Array(Type.Refine(Type.String({ maxLength: 254 }), isMailAddress), {
      minItems: 1,
      maxItems: 16,
      uniqueItems: true,
      kind: 'list',
      allowed: '1 to 16 mail addresses in ASCII; each gets messages of its own',
    }),
    timeout: timeout('The server must have taken a message in this time.', '30s'),
  },
  CLOSED,
);

const StdoutSchema = Type.Object({ type: Type.Literal('stdout'), ...common('stdout') }, CLOSED);

const ExecSchema = Type.Object(
  {
    type: Type.Literal('exec'),
    ...common('exec'),
    command: Type.Array(Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\x00]+$' }), {
      minItems: 1,
      maxItems: 64,
      kind: 'list',
      sensitive: true,
      allowed: 'a list: the program (an absolute path) and its arguments; no shell reads it',
    }),
    env: list((name) => /^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(name), 'names of environment variables', {
      description: 'Variables that the program gets beside PATH, LANG and TZ.',
      default: [],
    }),
    timeout: timeout('The program is killed after this time, with all that it started in its group.', '30s'),
  },
  CLOSED,
);

/** By the value of `type`. */
export const SINK_SCHEMAS = { webhook: WebhookSchema, email: EmailSchema, stdout: StdoutSchema, exec: ExecSchema };

/** Durations in milliseconds, paths absolute. */
export type WebhookOptions = StaticDecode<typeof WebhookSchema>;
export type EmailOptions = StaticDecode<typeof EmailSchema>;
export type StdoutOptions = StaticDecode<typeof StdoutSchema>;
export type ExecOptions = StaticDecode<typeof ExecSchema>;
export type SinkOptions = WebhookOptions | EmailOptions | StdoutOptions | ExecOptions;

/** Most sinks of one configuration: their names become labels of metrics. */
export const MAX_SINKS = 32;

/**
 * One item of `sinks:`, with defaults and absolute paths; undefined where it is wrong, with the problems in `walk`. No
 * message repeats a value that may hold a secret.
 */
export function readSink(value: unknown, at: SettingPath, walk: SettingsWalk): SinkOptions | undefined {
  if (!isMapping(value)) return walk.problem(at, 'must be a mapping with a "type"');
  const { type } = value;
  const known = typeof type === 'string' && Object.hasOwn(SINK_SCHEMAS, type);
  if (!known) return walk.problem([...at, 'type'], `must be one of ${Object.keys(SINK_SCHEMAS).join(', ')}`);
  const before = walk.problems.length;
  const sink = walk.object(SINK_SCHEMAS[type as SinkOptions['type']], value, at) as SinkOptions | undefined;
  if (sink === undefined || walk.problems.length > before) return undefined;
  const conflict = conflictIn(sink);
  if (conflict !== undefined) return walk.problem([...at, conflict[0]], conflict[1]);
  if (sink.type !== 'webhook') return sink;
  const secrets = sink.secrets.map((source) => ('file' in source ? { file: resolve(walk.base, source.file) } : source));
  return { ...sink, secrets };
}

/** Names of settings, with what is wrong with each in combination with the others. */
function conflictIn(sink: SinkOptions): [string, string] | undefined {
  if (sink.type === 'exec' && !sink.command[0]!.startsWith('/') && !/^[A-Za-z]:[\\/]/.test(sink.command[0]!)) {
    return ['command', 'must begin with an absolute path'];
  }
  if (sink.type === 'webhook' && sink.url.startsWith('http:') && sink.allow.length === 0) {
    return ['url', 'is http, which is for addresses that "allow" lists: use https, or add the address to "allow"'];
  }
  if (sink.type !== 'email') return undefined;
  const { user, passwordFile, passwordEnv, tls } = sink;
  const passwords = [passwordFile, passwordEnv].filter((source) => source !== undefined).length;
  if (passwords > 1) return ['passwordFile', 'and "passwordEnv" are both set: keep one'];
  if ((user === undefined) !== (passwords === 0)) return ['user', 'and a password (file or env) belong together'];
  if (user !== undefined && tls === 'none') return ['tls', 'is none: a password would cross in the clear'];
  return undefined;
}

function isWebhookUrl(value: string): boolean {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) return false;
  return (
    url.username === '' && url.password === '' && url.hash === '' && (isIP(url.hostname) > 0 || url.hostname !== '')
  );
}

/**
 * The part of RFC 5321 section 4.1.2 that needs no quoting in any header: a dot-atom, "@" and a domain name, in ASCII. No
 * display name, comment, quoting, list or line end can hide in it.
 */
export function isMailAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, at);
  const domain = text.slice(at + 1);
  if (at < 1 || local.length > 64 || domain.length > 253) return false;
  return MAIL_LOCAL.test(local) && domain.split('.').every((label) => DNS_LABEL.test(label));
}
