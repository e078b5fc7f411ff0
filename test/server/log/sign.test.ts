import { expect, it } from 'vitest';
import { makeSigner, tempDir } from '../../support/log.ts';

it('remembers the largest tree that it signed, whatever was published', async () => {
  const dir = await tempDir();
  const signer = await makeSigner(dir.path);
  const root = new Uint8Array(32);
  await signer.sign({ size: 5, root });
  signer.remember({ size: 3, root });
  await expect(signer.sign({ size: 4, root })).rejects.toMatchObject({ code: 'rollback' });
  await signer.close();
  await dir.remove();
});
