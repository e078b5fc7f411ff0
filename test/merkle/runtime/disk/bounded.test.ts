import { describe, expect, it } from 'vitest';
import { tooOpen } from '../../../../merkle/runtime/disk/bounded.ts';

const ROOT = 0;
const SELF = { uid: 1000, groups: [1000, 2000] };
const [OWN_GROUP, FOREIGN_GROUP] = [2000, 3000];

const open = (mode: number, uid: number, gid: number, self = SELF) =>
  tooOpen('f', { mode: 0o100000 | mode, uid, gid }, self);

describe('a file with a secret', () => {
  it.each([
    ['its owner alone', 0o600, SELF.uid, OWN_GROUP],
    ['its owner alone, to read', 0o400, SELF.uid, FOREIGN_GROUP],
    ["root's, for the group of the process to read", 0o440, ROOT, OWN_GROUP],
    ["root's, with the right to write for root", 0o640, ROOT, OWN_GROUP],
    ["root's, with the group of root: the rights are those of an access list", 0o440, ROOT, ROOT],
  ])('may be open to %s', (_, mode, uid, gid) => {
    expect(open(mode, uid, gid)).toBeUndefined();
  });

  it.each([
    ['others, to read', 0o604, SELF.uid, OWN_GROUP],
    ['others, to write', 0o602, ROOT, OWN_GROUP],
    ['others, of root', 0o444, ROOT, OWN_GROUP],
    ['its group, to write', 0o620, ROOT, OWN_GROUP],
    ['its group, to read and write', 0o460, ROOT, OWN_GROUP],
    ['its group, to run', 0o610, ROOT, OWN_GROUP],
    ['the group of the process, of a file that is not of root', 0o640, SELF.uid, OWN_GROUP],
    ["a group that is not the process's", 0o440, ROOT, FOREIGN_GROUP],
  ])('must not be open to %s', (_, mode, uid, gid) => {
    expect(open(mode, uid, gid)).toContain(`(mode 0${mode.toString(8)})`);
  });

  it('is closed with a command that leaves it readable for the process', () => {
    expect(open(0o644, SELF.uid, OWN_GROUP)).toContain('run `chmod 600 f`');
    expect(open(0o644, ROOT, OWN_GROUP)).toContain('run `chmod 640 f`');
    expect(open(0o644, ROOT, FOREIGN_GROUP)).toContain('run `chgrp 1000 f && chmod 640 f`');
    expect(open(0o644, 1001, FOREIGN_GROUP)).toContain('run `chown 1000 f && chmod 600 f`');
    expect(open(0o644, 1001, FOREIGN_GROUP, { uid: ROOT, groups: [ROOT] })).toContain('run `chmod 600 f`');
  });
});
