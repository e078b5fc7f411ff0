/** The manual pages in dist/man: one for each command, with all of its flags, and nothing that man cannot read. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { loadAll } from '../../../client/cli/main.ts';
import { lacking, skips } from '../../support/skip.ts';

const DIR = join(import.meta.dirname, '../../../dist/man');
const pages = readdirSync(DIR).sort();

const all = (command: Command, name: string): [string, Command][] => [
  [`${name}.1`, command],
  ...command.commands.flatMap((inner) => all(inner, `${name}-${inner.name()}`)),
];

describe('the manual pages', () => {
  it('are those of the commands', async () => {
    expect(pages).toEqual(
      all(await loadAll(), 'stele')
        .map(([name]) => name)
        .sort(),
    );
  });

  it('name every flag that help shows, and every argument', async () => {
    for (const [name, command] of all(await loadAll(), 'stele')) {
      const text = readFileSync(join(DIR, name), 'utf8').replaceAll('\\-', '-');
      const help = command.createHelp();
      for (const { long, short } of help.visibleOptions(command))
        expect(text, name).toContain(`\n\\fB${short === undefined ? long : `${short}, ${long}`}`);
      for (const argument of command.registeredArguments) expect(text, name).toContain(`\\fI${argument.name()}\\fR`);
    }
  });

  it.skipIf(skips('the manual pages as groff reads them', lacking('groff')))(
    'are read by groff without a warning',
    () => {
      const { stderr } = spawnSync('groff', ['-man', '-ww', '-Tutf8', ...pages], { cwd: DIR, encoding: 'utf8' });
      expect(stderr).toBe('');
    },
  );

  it.skipIf(skips('the manual pages as mandoc reads them', lacking('mandoc')))(
    'are read by mandoc without a warning',
    () => {
      const { stdout } = spawnSync('mandoc', ['-Tlint', '-Wwarning', ...pages], { cwd: DIR, encoding: 'utf8' });
      // A page has the version of the package and no date, so that the same sources give the same pages.
      expect(stdout.split('\n').filter((line) => line !== '' && !line.includes('missing date'))).toEqual([]);
    },
  );

  it.skipIf(skips('a manual page as a reader sees it', lacking('groff')))('show text as it is written', () => {
    const text = execFileSync('groff', ['-man', '-Tutf8', '-P-c', 'stele-log-check.1'], {
      cwd: DIR,
      encoding: 'utf8',
    });
    expect(text).toContain("stele log check ./export --log-key 'log.example.com+1a2b3c4d+AbCd");
  });
});
