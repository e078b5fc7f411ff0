/** The settings that say where a signing key is: in a file, in a PKCS#11 token, or in an ssh-agent. */
import { join } from 'node:path';
import { type StaticDecode, Type } from 'typebox';
import type { KeySpec } from '../keys/types.ts';
import { moduleFile, path, text, variable } from './values.ts';

const opt = Type.Optional;
const TOKEN_TEXT = /^[\x20-\x7e]{1,128}$/;
/** A fingerprint, or a public key of Ed25519 or ECDSA in SSH's form, which has at most 250 characters. */
const AGENT_KEY = /^(SHA256:[A-Za-z0-9+/]{43}|[a-z0-9@.-]{1,64} [A-Za-z0-9+/]{1,250}={0,2}( .*)?)$/;

/** A group of settings. `which` and `danger` go into the description of the key file. */
export function keySettings(which: string, fileDefault: string, danger: string) {
  return Type.Object({
    file: opt(path({ description: `${which}: a PKCS#8 PEM file.`, defaultText: fileDefault, danger })),
    passphraseFile: opt(
      path({ description: 'File with the passphrase of an encrypted key file, in one line, closed to others (0600).' }),
    ),
    passphraseEnv: opt(variable({ description: 'Environment variable with the passphrase of an encrypted key file.' })),
    pkcs11: Type.Object({
      module: opt(
        moduleFile({
          description:
            'PKCS#11 module of the token that holds the key: a path, or a bare file name that is looked for where distributions put such modules. Needs the package pkcs11js (`npm install pkcs11js`).',
          danger: 'The module is native code that runs inside this process.',
        }),
      ),
      token: opt(text(TOKEN_TEXT, '1 to 128 printable ASCII characters', { description: 'Label of the token.' })),
      label: opt(
        text(TOKEN_TEXT, '1 to 128 printable ASCII characters', { description: 'Label of the key in the token.' }),
      ),
      pinFile: opt(path({ description: "File with the token's user PIN, in one line, closed to others (0600)." })),
      pinEnv: opt(variable({ description: "Environment variable with the token's user PIN." })),
    }),
    agent: Type.Object({
      key: opt(
        text(AGENT_KEY, 'a fingerprint (SHA256:…) or a public key (ssh-ed25519 AAAA…)', {
          description:
            'A key in an ssh-agent, by the fingerprint that `ssh-add -l` prints or the public key that `ssh-add -L` prints.',
          danger: 'Anybody who reaches the socket of the agent can sign with it.',
        }),
      ),
      socket: opt(path({ description: 'Socket of the ssh-agent.', defaultText: 'what `SSH_AUTH_SOCK` names' })),
    }),
  });
}

/** The decoded group. */
type KeySettings = StaticDecode<ReturnType<typeof keySettings>>;

/** The key that the settings name, or undefined where they name none. */
export function keySpec(name: string, key: KeySettings, problems: string[]): KeySpec | undefined {
  const { module, token, label, pinFile, pinEnv } = key.pkcs11;
  const inToken = isGiven(key.pkcs11);
  const inAgent = isGiven(key.agent);
  const passphrase = key.passphraseFile ?? key.passphraseEnv;

  if (key.passphraseFile !== undefined && key.passphraseEnv !== undefined) {
    problems.push(`"${name}.passphraseFile" and "${name}.passphraseEnv" are both set: keep one`);
  }
  if (!inToken && !inAgent) {
    if (key.file !== undefined) return withPassphrase(key.file, key);
    if (passphrase !== undefined && name !== 'key') problems.push(`"${name}" has a passphrase, but no "${name}.file"`);
    return undefined;
  }
  if (key.file !== undefined || passphrase !== undefined) {
    problems.push(
      `"${name}.${inToken ? 'pkcs11' : 'agent'}" is set together with a key file or its passphrase: the key is in ${inToken ? 'the token' : 'the agent'} or in a file`,
    );
  }
  if (inToken && inAgent) {
    problems.push(`"${name}.pkcs11" and "${name}.agent" are both set: the key is in the token or in the agent`);
  }
  if (!inToken) {
    if (key.agent.key === undefined) problems.push(`a key in an ssh-agent also needs "key" in "${name}.agent"`);
    return key.agent.key === undefined ? undefined : { agent: { ...key.agent, key: key.agent.key } };
  }
  if (pinFile !== undefined && pinEnv !== undefined) {
    problems.push(`"${name}.pkcs11.pinFile" and "${name}.pkcs11.pinEnv" are both set: keep one`);
  }
  const missing = [
    ...(module === undefined ? ['module'] : []),
    ...(token === undefined ? ['token'] : []),
    ...(label === undefined ? ['label'] : []),
    ...(pinFile === undefined && pinEnv === undefined ? ['pinFile" or "pinEnv'] : []),
  ];
  if (missing.length > 0) {
    problems.push(`a key in a token also needs ${missing.map((part) => `"${part}"`).join(', ')} in "${name}.pkcs11"`);
  }
  if (module === undefined || token === undefined || label === undefined) return undefined;
  const pin = pinFile === undefined ? { env: pinEnv ?? '' } : { file: pinFile };
  return { pkcs11: { module, token, label, pin } };
}

function isGiven(group: object): boolean {
  return Object.values(group).some((value) => value !== undefined);
}

/** The key that a service signs with: the one that the settings of `key` name, else `key.pem` in the data directory. */
export function ownKey(
  data: string,
  key: KeySettings,
  problems: string[],
): {
  readonly key: KeySpec;
  /** The key file is the default one: a key is made there at the first start. */
  readonly createKey: boolean;
} {
  const spec = keySpec('key', key, problems);
  return { key: spec ?? withPassphrase(join(data, 'key.pem'), key), createKey: spec === undefined };
}

/** The key in `file`, with the passphrase that the settings name. */
function withPassphrase(file: string, key: KeySettings): KeySpec {
  if (key.passphraseFile !== undefined) return { file, passphrase: { file: key.passphraseFile } };
  if (key.passphraseEnv !== undefined) return { file, passphrase: { env: key.passphraseEnv } };
  return { file };
}
