/**
 * Writes docs/configuration.md from the schema: `npm run docs`.
 *
 * A test compares the file with `configurationDocs()`, so that it cannot fall behind.
 */
import { pathToFileURL } from 'node:url';
import { defaultText, SETTINGS, type Setting } from './settings.ts';

const HEAD = `# Configuration

<!-- Generated from server/config/schema.ts by \`npm run docs\`. Change it there. -->

Every setting can be given in three ways. Where it is given in several, the first of these counts:

1. a flag of \`stele serve\`: \`--batch-max-age 5ms\`
2. an environment variable: \`STELE_BATCH_MAX_AGE=5ms\`
3. the file that \`--config\` or \`STELE_CONFIG\` names: \`batch: { maxAge: 5ms }\` in YAML, where the dots of a name below are levels
4. the default

\`\`\`yaml
origin: log.example.com
data: /var/lib/stele
listen:
  host: 0.0.0.0
  port: 3000
batch:
  maxAge: 5ms
limits:
  bodyBytes: 4MiB
\`\`\`

- A **duration** is a whole number with one unit: \`5ms\`, \`10s\`, \`2m\`, \`1h\`.
- A **size** is a number of bytes, or a whole number with one unit: \`65536\`, \`64KiB\`, \`4MiB\`, \`1GiB\`.
- A **list** is a YAML list in the file; in a flag or a variable its items are separated by commas.
- A **path** in the file is relative to the file's directory; in a flag or a variable, to the working directory.
- A **secret** is never a setting. A setting names the file or the environment variable that holds it.

A setting that is unknown or wrong stops the start with an error that names it, where it stands and what is allowed. The same goes for
an unknown \`STELE_…\` variable; the ones that Kubernetes adds for a service called \`stele\` (\`STELE_SERVICE_HOST\`, \`STELE_PORT\` …) are left alone.
`;

/** The whole of docs/configuration.md. */
export function configurationDocs(): string {
  const groups = new Map<string, Setting[]>([['General', []]]);
  for (const setting of SETTINGS) {
    const name = setting.path.length === 1 ? 'General' : setting.path[0]!;
    groups.set(name, [...(groups.get(name) ?? []), setting]);
  }
  const sections = [...groups].map(([name, settings]) => `\n## ${name}\n${settings.map(describe).join('')}`);
  return `${HEAD}${sections.join('')}`;
}

function describe(setting: Setting): string {
  const unit = setting.kind === 'count' ? `${setting.kind} (${setting.unit})` : setting.kind;
  const fallback = setting.defaultText ?? (defaultText(setting) === 'none' ? 'none' : `\`${defaultText(setting)}\``);
  return [
    `\n### \`${setting.name}\`\n`,
    `\n${setting.description}\n`,
    `\n- flag \`--${setting.flag}\`, variable \`${setting.env}\`\n`,
    `- ${unit}: ${setting.allowed}\n`,
    `- default: ${fallback}\n`,
    setting.danger === undefined ? '' : `- **danger:** ${setting.danger}\n`,
  ].join('');
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(configurationDocs());
}
